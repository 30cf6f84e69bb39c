// Package hwmon reads chips that a driver of the kernel watches: thermometers
// (LM75, TMP102, JC42), monitors of voltage and power (INA2xx, INA3221), fan
// controllers, and what the board itself has. So a chip that fieldpost has no
// driver for needs only the kernel's.
//
// Readings, by the chip's attributes
// (Documentation/ABI/testing/sysfs-class-hwmon); N is the number of the channel,
// or its label in small letters if it has one:
//
//	temperature.N  Cel    tempN_input
//	voltage.N      V      inN_input
//	current.N      A      currN_input
//	power.N        W      powerN_input, or powerN_average
//	energy.N       J      energyN_input
//	humidity.N     %RH    humidityN_input
//	fan.N          1/min  fanN_input
//
// A channel whose attribute _fault is 1 is an error: its sensor is open or
// shorted. How good the values are, the data sheet of the chip says.
package hwmon

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/attr"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a chip.
type Config struct {
	Chip     string   `yaml:"chip" doc:"Name of the chip, as in /sys/class/hwmon/*/name." required:"true" pattern:"^[A-Za-z0-9_.-]{1,64}$" want:"the name of a chip, such as tmp105" example:"tmp105"`
	Device   string   `yaml:"device" doc:"Which one, if there are several of that name: the folder that the link device of the chip leads to, 1-0048 for address 0x48 on i2c-1." pattern:"^[A-Za-z0-9_.:-]{1,64}$" want:"the name of a folder, such as 1-0048" example:"1-0048"`
	Channels []string `yaml:"channels" doc:"The channels that are read; if none is named, all." default:"[]" pattern:"^(temp|in|curr|power|energy|humidity|fan)[0-9]{1,3}$" want:"temp, in, curr, power, energy, humidity or fan and a number" example:"temp1"`
}

// Places implements bus.Placed. The kernel serves several readers of one chip.
func (c Config) Places() []bus.Place {
	at := c.Chip
	if c.Device != "" {
		at += " at " + c.Device
	}
	return []bus.Place{{At: at, Shared: true}}
}

const class = "sys/class/hwmon"

// Dev is one chip.
type Dev struct {
	config Config
	root   string // of all paths; "/" but in tests

	mu       sync.Mutex
	channels []channel // empty while closed
}

// New returns a chip that has to be opened.
func New(c Config) (*Dev, error) { return &Dev{config: c, root: "/"}, nil }

// Open finds the chip and its channels.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, err := attr.Find(filepath.Join(d.root, class), d.config.Chip, d.config.Device, deviceOf)
	if err != nil {
		return err
	}
	d.channels, err = channelsOf(dir, d.config.Channels)
	return err
}

// deviceOf is the name of the device that a chip belongs to; empty for chips
// that belong to none.
func deviceOf(dir string) string {
	target, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
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
