// Package sht3x reads Sensirion's thermometers and hygrometers SHT30, SHT31 and
// SHT35.
//
// Readings:
//
//	temperature  Cel   -40 to 125; ±0.2 (SHT35: ±0.1) from 0 to 65 °C
//	humidity     %RH   0 to 100; ±2 (SHT30: ±2 to 90 %RH, SHT35: ±1.5)
//
// Source: Sensirion, SHT3x-DIS data sheet, version 6. Each value comes with a
// checksum.
//
// The chip measures once for each read, with high repeatability, and sleeps in
// between. What another program has left it doing, by itself or with its heater
// on, is ended when it is opened. After days in air that is nearly saturated it
// reads some %RH too much for a while (section 1.1).
package sht3x

import (
	"context"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/sensirion"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of an SHT3x.
type Config struct {
	Bus     string `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address, by its pin ADDR: 0x44 with ADDR at ground, 0x45 at the supply." default:"0x44" min:"0x44" max:"0x45"`
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped.
func (Config) Chips() []bus.Chip { return []bus.Chip{sensirion.SHT3x()} }

// Quantities are what a chip delivers.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"temperature": {}, "humidity": {}}
}

// Commands: section 4; times: table 4 and section 4.9.
var (
	measure = []byte{0x24, 0x00} // once, high repeatability, no clock stretching
	stop    = []byte{0x30, 0x93} // measuring by itself
	reset   = []byte{0x30, 0xa2}
)

const (
	measureTakes = 16 * time.Millisecond // 15.5 at most
	// between two commands there must be so much time: section 4.
	between    = time.Millisecond
	resetTakes = 2 * time.Millisecond // 1.5 at most
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

// Open finds the chip and resets it.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	if _, err := b.Identify(ctx, d.config.Address, d.config.Chips(), sensirion.SHT4x()); err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	for _, command := range [][]byte{stop, reset} {
		if err := bus.Wait(ctx, between); err != nil {
			return err
		}
		if err := chip.Tx(command, nil); err != nil {
			return err
		}
	}
	if err := bus.Wait(ctx, resetTakes); err != nil {
		return err
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
	temperature, humidity, err := sensirion.Measure(ctx, d.chip, measure, measureTakes)
	if err != nil {
		return nil, err
	}
	return readings(temperature, humidity)
}

// readings makes values of the words that the chip has measured: section 4.13.
func readings(temperature, humidity uint16) ([]gateway.Reading, error) {
	return sensirion.Readings(temperature, 100*float64(humidity)/65535)
}
