// Package bh1750 reads ROHM's light sensor BH1750FVI.
//
// Readings:
//
//	illuminance  lx   0 to 121000, in steps of 1; ±20 %
//
// Source: ROHM, BH1750FVI technical note 2011.11, revision D. The chip sees what
// the eye sees; under glass or a dome, calibrate it (`calibrate` in the config).
//
// It measures once for each read and sleeps in between. Light that is too bright
// for the usual measurement, above 54600 lx, is measured again in less time.
//
// The chip has neither id nor checksum. Darkness is believed only if it is
// measured twice: a chip that was without power says 0, too. Other nonsense
// that looks like light cannot be told from light.
//
// periph's bh1750 is not used: it cuts off fractions before it multiplies,
// never switches the chip on or off, and gives a saturated value as a true one.
package bh1750

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

// Config of a BH1750.
type Config struct {
	Bus     string `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address, by its pin ADDR: 0x23 with ADDR at ground, 0x5c at the supply." default:"0x23"`
}

// Validate checks what tags cannot.
func (c Config) Validate() error {
	if c.Address != 0x23 && c.Address != 0x5c {
		return &gateway.FieldError{Field: "address", Problem: fmt.Sprintf("is %#02x; want 0x23 or 0x5c", c.Address)}
	}
	return nil
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped. The chip has no id.
func (Config) Chips() []bus.Chip {
	return []bus.Chip{{Name: "BH1750", Addresses: []uint16{0x23, 0x5c}}}
}

// Quantities are what a chip delivers.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"illuminance": {}}
}

const (
	measureOnce = 0x20 // in steps of 1 lx
	powerDown   = 0x00
	powerOn     = 0x01

	// How long it measures, as its register MTreg has it.
	usual    = 69
	shortest = 31
	// usualTakes is the longest that the usual measurement takes.
	usualTakes = 180 * time.Millisecond

	saturated = 0xffff
)

// Dev is one chip.
type Dev struct {
	config Config
	buses  *bus.Set

	mu   sync.Mutex
	chip *i2c.Dev // nil while closed
}

// New returns a chip that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses}, nil
}

// Open finds the chip, by a command that changes nothing.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	if err := chip.Tx([]byte{powerDown}, nil); err != nil {
		return b.Hint(ctx, err, d.config.Address, d.config.Chips())
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
	mtreg := byte(usual)
	counts, err := d.measure(ctx, mtreg)
	switch {
	case err != nil:
		return nil, err
	case counts == 0:
		counts, err = d.measure(ctx, mtreg)
	case counts == saturated:
		mtreg = shortest
		counts, err = d.measure(ctx, mtreg)
	}
	switch {
	case err != nil:
		return nil, err
	case counts == saturated:
		return nil, fmt.Errorf("it is brighter than the chip can measure, about 121000 lx, or there is a loose wire: %w", gateway.ErrInvalid)
	}
	lux := float64(counts) / 1.2 * usual / float64(mtreg)
	return []gateway.Reading{{Name: "illuminance", Value: gateway.Number(lux), Unit: "lx"}}, nil
}

// measure gives the counts of a measurement whose time is that of MTreg.
func (d *Dev) measure(ctx context.Context, mtreg byte) (uint16, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for _, command := range []byte{powerOn, 0x40 | mtreg>>5, 0x60 | mtreg&0x1f, measureOnce} {
		if err := d.chip.Tx([]byte{command}, nil); err != nil {
			return 0, err
		}
	}
	if err := bus.Wait(ctx, takes(mtreg)); err != nil {
		return 0, err
	}
	var counts [2]byte
	err := d.chip.Tx(nil, counts[:])
	return binary.BigEndian.Uint16(counts[:]), err
}

func takes(mtreg byte) time.Duration { return usualTakes * time.Duration(mtreg) / usual }
