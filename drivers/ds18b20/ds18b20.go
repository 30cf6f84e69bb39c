// Package ds18b20 reads 1-Wire thermometers through the kernel: DS18B20,
// DS18S20, DS1822, DS1825, DS28EA00 (w1_therm).
//
// Readings:
//
//	temperature  Cel  -55 to 125; ±0.5 from -10 to 85 °C
//
// Source: Maxim, DS18B20 data sheet, 19-7487, revision 6, "Operation: Measuring
// Temperature".
//
// A read takes up to 750 ms, and one bus serves one sensor at a time. The kernel
// reads, since bit timing of 1-Wire is beyond a program; periph's driver of this
// chip needs a bus master of its own (DS2482 and the like). On a Raspberry Pi
// dtoverlay=w1-gpio makes the bus.
//
// 85 °C is what the sensor has in memory after power-on. It is a value only if
// the one before was near it; otherwise the sensor has lost its power while it
// measured.
package ds18b20

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/attr"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a thermometer.
type Config struct {
	Sensor string `yaml:"sensor" doc:"Which sensor, as a folder of /sys/bus/w1/devices. Left out: the only one there is." pattern:"^[0-9a-f]{2}-[0-9a-f]{12}$" want:"two hexadecimal digits, a hyphen and twelve more" example:"28-0316a2798bff"`
}

// Quantities are what the sensor measures: a number.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"temperature": gateway.Number(0)}
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place {
	return []bus.Place{{At: cmp.Or(c.Sensor, "the only 1-Wire thermometer")}}
}

// families are the first byte of the codes of thermometers that the kernel
// knows, by w1_therm.
var families = []string{"10", "22", "28", "3b", "42"}

const (
	devices = "sys/bus/w1/devices"
	powerOn = 85.0
	// near is how far from 85 °C the value before may be for 85 °C to be true.
	near = 5.0
	// lowest and highest are what the sensors can measure.
	lowest, highest = -55.0, 125.0
)

// Dev is one thermometer.
type Dev struct {
	config Config
	root   string // of all paths; "/" but in tests

	mu   sync.Mutex
	file string // w1_slave; empty while closed
	last float64
}

// New returns a thermometer that has to be opened.
func New(c Config) (*Dev, error) { return at(c, "/"), nil }

func at(c Config, root string) *Dev { return &Dev{config: c, root: root, last: math.NaN()} }

// Open finds the sensor on the buses of the board.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	folder := filepath.Join(d.root, devices)
	there, err := thermometers(folder)
	if err != nil {
		return err
	}
	sensor := d.config.Sensor
	switch {
	case sensor == "" && len(there) == 1:
		sensor = there[0]
	case sensor == "" && len(there) > 1:
		return fmt.Errorf("there are several: %s; say by the key sensor which it is: %w", strings.Join(there, ", "), gateway.ErrInvalid)
	case len(there) == 0:
		return fmt.Errorf("there is no thermometer on any 1-Wire bus; check data line, pull-up (4.7 kΩ) and power: %w", gateway.ErrUnavailable)
	case !slices.Contains(there, sensor):
		return fmt.Errorf("no answer; there are %s: %w", strings.Join(there, ", "), gateway.ErrUnavailable)
	}
	d.file, d.last = filepath.Join(folder, sensor, "w1_slave"), math.NaN()
	return nil
}

// thermometers lists those that the kernel has found.
func thermometers(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("the kernel has no 1-Wire bus; write dtoverlay=w1-gpio into config.txt, or load its driver: %w: %w", err, gateway.ErrUnavailable)
	}
	var found []string
	for _, e := range entries {
		if family, _, ok := strings.Cut(e.Name(), "-"); ok && slices.Contains(families, family) {
			found = append(found, e.Name())
		}
	}
	return found, nil
}

// Read implements gateway.Sensor. The kernel cannot be interrupted while the
// sensor measures, so that ctx counts before that only.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.file == "" {
		return nil, bus.ErrNotOpen
	}
	text, err := attr.Text(d.file)
	switch {
	case err != nil:
		return nil, err
	case text == "":
		return nil, fmt.Errorf("the sensor does not answer; check its wires: %w", gateway.ErrUnavailable)
	}
	celsius, err := parse(text)
	if err != nil {
		return nil, err
	}
	if err := d.plausible(celsius); err != nil {
		return nil, err
	}
	d.last = celsius
	return []gateway.Reading{{Name: "temperature", Value: gateway.Number(celsius), Unit: "Cel"}}, nil
}

func (d *Dev) plausible(celsius float64) error {
	switch {
	case celsius < lowest || celsius > highest:
		return fmt.Errorf("%v °C is beyond what the sensor can measure (%v to %v): %w", celsius, lowest, highest, gateway.ErrInvalid)
	case celsius == powerOn && !(math.Abs(d.last-powerOn) <= near): //nolint:staticcheck // NaN is not near
		return fmt.Errorf("85 °C is the value after power-on: the sensor has lost its power while it measured; check its supply (three wires rather than two), or a shorter line: %w", gateway.ErrInvalid)
	}
	return nil
}

// Close implements the contract of drivers.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.file = ""
	return nil
}
