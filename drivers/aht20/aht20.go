// Package aht20 reads Aosong's thermometer and hygrometer AHT20, and those that
// speak as it does: AHT21, AHT25, AHT30, DHT20, AM2301B.
//
// Readings:
//
//	temperature  Cel   -40 to 85; ±0.3
//	humidity     %RH   0 to 100; ±2 (±3 for some of its kin)
//
// Source: Aosong, AHT20 product manual, version 1.1. Each value comes with a
// checksum.
//
// The chip is driven by periph's aht20, which checks what it reads and gives up
// in time. It does not look at a context: a read that is cancelled ends after a
// quarter of a second at the latest.
//
// All these chips have one address, 0x38, so that a bus can have one of them; for
// more, take a multiplexer or an SHT4x. The manual wants 2 s between two reads,
// or the chip warms itself.
package aht20

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/aht20"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of an AHT20.
type Config struct {
	Bus string `yaml:"bus" doc:"I2C bus that the chip is on; its address is always 0x38." default:"i2c-1"`
}

const address = 0x38

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, address)} }

// Chips implements bus.Chipped. The chip has no id.
func (Config) Chips() []bus.Chip { return []bus.Chip{{Name: "AHT20", Addresses: []uint16{address}}} }

// Quantities are what a chip delivers.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"temperature": {}, "humidity": {}}
}

// Dev is one chip.
type Dev struct {
	config Config
	buses  *bus.Set

	mu   sync.Mutex
	chip *aht20.Dev // nil while closed
}

// New returns a chip that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) { return &Dev{config: c, buses: buses}, nil }

// wakes is how long the chip needs after power-up: section 7.4.
const wakes = 100 * time.Millisecond

// Open finds the chip and has it calibrate itself, if it has not yet.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	if err := bus.Wait(ctx, wakes); err != nil {
		return err
	}
	chip, err := aht20.NewI2C(b, &aht20.DefaultOpts)
	if err != nil {
		return b.Hint(ctx, err, address, d.config.Chips())
	}
	d.chip = chip
	return nil
}

// Close implements the contract of drivers. The chip is asleep already.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chip = nil
	return nil
}

// Read implements gateway.Sensor.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.chip == nil {
		return nil, bus.ErrNotOpen
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var e physic.Env
	if err := d.chip.Sense(&e); err != nil {
		return nil, explain(err)
	}
	temperature := e.Temperature.Celsius()
	humidity := float64(e.Humidity) / float64(physic.PercentRH)
	if temperature < -40 || temperature > 85 {
		return nil, fmt.Errorf("temperature %.2f Cel is beyond what the chip measures, -40 to 85: %w", temperature, gateway.ErrInvalid)
	}
	return []gateway.Reading{
		{Name: "temperature", Value: gateway.Number(temperature), Unit: "Cel"},
		{Name: "humidity", Value: gateway.Number(humidity), Unit: "%RH"},
	}, nil
}

// explain gives the errors of periph's driver a meaning; those of the bus have
// theirs.
func explain(err error) error {
	var corrupt *aht20.DataCorruptionError
	var late *aht20.ReadTimeoutError
	var lost *aht20.NotInitializedError
	switch {
	case errors.As(err, &corrupt):
		return fmt.Errorf("the checksum is wrong (%#02x, want %#02x); check wires, pull-ups and the speed of the bus, and whether it is an AHT20: %w",
			corrupt.Received, corrupt.Calculated, gateway.ErrInvalid)
	case errors.As(err, &late):
		return fmt.Errorf("the chip still measures after %v: %w", late.Timeout, gateway.ErrTimeout)
	case errors.As(err, &lost):
		return fmt.Errorf("the chip is not calibrated any more; has it lost its power? %w", gateway.ErrUnavailable)
	default:
		return err
	}
}
