// Package mcp9808 reads Microchip's thermometer MCP9808.
//
// Readings:
//
//	temperature  Cel   -40 to 125 in steps of 0.0625; ±0.5 from -20 to 100 °C
//
// Source: Microchip, MCP9808 data sheet, DS25095A.
//
// The chip measures by itself, four times a second, and warms itself by less
// than its accuracy; a read takes what was measured last. The settings are read
// back with each value: after a loss of power the chip says 0 °C until it has
// measured.
//
// periph's mcp9808 is not used: it takes any chip for an MCP9808, has one text
// for all errors of the bus, and takes ones on it for -0.06 °C.
package mcp9808

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of an MCP9808.
type Config struct {
	Bus     string `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address, by its pins A0 to A2: 0x18 with all at ground; at the supply they add 1, 2 and 4." default:"0x18" min:"0x18" max:"0x1f"`
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped: the id is that of the device and its revision.
func (Config) Chips() []bus.Chip {
	return []bus.Chip{{
		Name: "MCP9808", Addresses: []uint16{0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f},
		Ask: []byte{regDevice}, Answer: 2, Is: func(id []byte) bool { return id[0] == 0x04 },
	}}
}

// Quantities are what a chip delivers.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"temperature": {}}
}

// relatives have the same addresses.
func relatives() []bus.Chip {
	return []bus.Chip{{Name: "LIS3DH", Addresses: []uint16{0x18, 0x19}, Ask: []byte{0x0f}, Answer: 1, Is: bus.HasID(0x33)}}
}

// Registers: section 5.1.
const (
	regConfig       = 0x01
	regTemperature  = 0x05
	regManufacturer = 0x06
	regDevice       = 0x07
	regResolution   = 0x08

	microchip = 0x0054
	finest    = 0x03 // 0.0625 °C
	// settings has the chip measure, and nothing else. The hysteresis of 1.5 °C
	// has no effect without an alert; it is a value that no chip has after
	// power-up, so that one that has lost its power is noticed.
	settings = 0x0200

	takes = 300 * time.Millisecond // 250 is typical
)

// Dev is one chip.
type Dev struct {
	config Config
	buses  *bus.Set

	mu   sync.Mutex
	chip *i2c.Dev // nil while closed
}

// New returns a chip that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) { return &Dev{config: c, buses: buses}, nil }

// Open finds the chip and has it measure for the first time.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	if _, err := b.Identify(ctx, d.config.Address, d.config.Chips(), relatives()...); err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	maker, err := register(chip, regManufacturer)
	if err != nil {
		return err
	}
	if maker != microchip {
		return fmt.Errorf("another chip answers, of a manufacturer with the id %#04x; want an MCP9808 of Microchip, %#04x: %w", maker, microchip, gateway.ErrUnavailable)
	}
	if err := chip.Tx([]byte{regResolution, finest}, nil); err != nil {
		return err
	}
	if err := chip.Tx([]byte{regConfig, settings >> 8, settings & 0xff}, nil); err != nil {
		return err
	}
	if err := bus.Wait(ctx, takes); err != nil {
		return err
	}
	d.chip = chip
	return nil
}

// Close implements the contract of drivers. The chip goes on measuring.
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
	value, err := register(d.chip, regTemperature)
	if err != nil {
		return nil, err
	}
	config, err := register(d.chip, regConfig) // after the value, so that it holds for it
	if err != nil {
		return nil, err
	}
	return reading(value, config)
}

func register(chip *i2c.Dev, n byte) (uint16, error) {
	var value [2]byte
	err := chip.Tx([]byte{n}, value[:])
	return binary.BigEndian.Uint16(value[:]), err
}

// reading makes a value of the register, whose upper three bits are alerts, if
// the configuration is as it was set.
func reading(value, config uint16) ([]gateway.Reading, error) {
	if config != settings {
		return nil, fmt.Errorf("the chip has lost its settings (its register 1 has %#04x); has it lost its power, or does another program use it? %w", config, gateway.ErrUnavailable)
	}
	temperature := float64(int16(value<<3)) / 128
	if temperature < -40 || temperature > 125 {
		return nil, fmt.Errorf("temperature %.2f Cel is beyond what the chip measures, -40 to 125: %w", temperature, gateway.ErrInvalid)
	}
	return []gateway.Reading{{Name: "temperature", Value: gateway.Number(temperature), Unit: "Cel"}}, nil
}
