// Package iio reads sensors and converters that a driver of the kernel serves
// by its Industrial I/O subsystem: BMP280, SHT3x, SCD30, ADS1015/ADS1115,
// MCP3008, HX711, accelerometers and some hundred more. So a chip that fieldpost
// has no driver for needs only the kernel's.
//
// Readings, by the chip's attributes (Documentation/ABI/testing/sysfs-bus-iio);
// N is the number of the channel or its axis, where it has one:
//
//	temperature.N     Cel     in_temp
//	pressure          Pa      in_pressure
//	humidity          %RH     in_humidityrelative
//	voltage.N         V       in_voltage; voltage.0-1 between two inputs
//	current.N         A       in_current
//	power.N           W       in_power
//	resistance.N      Ohm     in_resistance
//	illuminance       lx      in_illuminance
//	distance          m       in_distance
//	acceleration.x    m/s2    in_accel
//	rotation.x        rad/s   in_anglvel
//	magnetic_field.x  T       in_magn
//	concentration.co2 ppm     in_concentration
//	mass_concentration.pm2p5  ug/m3  in_massconcentration
//	intensity.N, proximity.N, count.N  without a unit
//
// A channel that the kernel gives as it is, without a scale, has .raw behind its
// name and no unit: the key calibrate makes a quantity of it.
//
// How good the values are, the data sheet of the chip says.
package iio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/attr"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a chip.
type Config struct {
	Chip     string            `yaml:"chip" doc:"Name of the chip, as in /sys/bus/iio/devices/*/name; that of an ADS1115 is ads1015 in older kernels." required:"true" pattern:"^[A-Za-z0-9_.,@+-]{1,64}$" want:"the name of a chip, such as bmp280" example:"bmp280"`
	Device   string            `yaml:"device" doc:"Which one, if there are several of that name: the folder that the chip's own lies in, 1-0076 for address 0x76 on i2c-1." pattern:"^[A-Za-z0-9_.:@-]{1,64}$" want:"the name of a folder, such as 1-0076" example:"1-0076"`
	Channels []string          `yaml:"channels" doc:"The channels that are read; if none is named, all." default:"[]" pattern:"^[a-z0-9_-]{1,64}$" want:"the name of a channel as in in_NAME_raw or in_NAME_input" example:"voltage0"`
	Set      map[string]string `yaml:"set" doc:"Attributes that are written when the chip is opened, such as its sampling frequency; see /sys/bus/iio/devices/*/." pattern:"^[A-Za-z0-9 .+-]{1,64}$" want:"a number or a word"`
}

// Validate implements the contract of configs.
func (c Config) Validate() error {
	var errs []error
	for name := range c.Set {
		if !attributeShape.MatchString(name) {
			errs = append(errs, &gateway.FieldError{Field: "set." + name, Problem: "want the name of an attribute, such as in_voltage_sampling_frequency"})
		}
	}
	return errors.Join(errs...)
}

// Places implements bus.Placed. The kernel serves several readers of one chip.
func (c Config) Places() []bus.Place {
	at := c.Chip
	if c.Device != "" {
		at += " at " + c.Device
	}
	return []bus.Place{{At: at, Shared: true}}
}

const class = "sys/bus/iio/devices"

// Dev is one chip.
type Dev struct {
	config Config
	root   string // of all paths; "/" but in tests

	mu       sync.Mutex
	channels []channel // empty while closed
}

// New returns a chip that has to be opened.
func New(c Config) (*Dev, error) { return &Dev{config: c, root: "/"}, nil }

// Open finds the chip and its channels, and sets it up.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, err := attr.Find(filepath.Join(d.root, class), d.config.Chip, d.config.Device, parentOf)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(d.config.Set)) {
		if err := attr.Set(filepath.Join(dir, name), d.config.Set[name]); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	d.channels, err = channelsOf(dir, d.config.Channels)
	return err
}

// parentOf is the name of the device that a chip is on its bus: iio:device0 is
// a link into the folder of that.
func parentOf(dir string) string {
	target, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	return filepath.Base(filepath.Dir(target))
}

// Read implements gateway.Sensor.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.channels) == 0 {
		return nil, bus.ErrNotOpen
	}
	return attr.ReadAll(ctx, d.channels)
}

// Close implements the contract of drivers.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.channels = nil
	return nil
}
