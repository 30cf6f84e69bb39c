// Package sht4x reads Sensirion's thermometers and hygrometers SHT40, SHT41, SHT43
// and SHT45.
//
// Readings:
//
//	temperature  Cel   -40 to 125; ±0.2 (SHT45: ±0.1) from 0 to 60 °C
//	humidity     %RH   0 to 100; ±1.8 (SHT45: ±1.0)
//
// Source: Sensirion, SHT4x data sheet, version 6. Each value comes with a checksum.
//
// The chip measures once for each read, with high precision, and sleeps in
// between. Its address is part of its name, not set by a pin: SHT4x-A has 0x44,
// SHT4x-B 0x45, SHT4x-C 0x46. The formula of the humidity gives a little less than
// 0 and more than 100 at the ends, which is cut off as the data sheet allows.
package sht4x

import (
	"context"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/sensirion"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of an SHT4x.
type Config struct {
	Bus     string `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address, by the letter after the chip's name: 0x44 for A, 0x45 for B, 0x46 for C." default:"0x44" min:"0x44" max:"0x46"`
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped.
func (Config) Chips() []bus.Chip { return []bus.Chip{sensirion.SHT4x()} }

// Quantities are what a chip delivers.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"temperature": {}, "humidity": {}}
}

// Commands and times: sections 3.1 and 4.5.
var (
	measure = []byte{0xfd} // high precision
	reset   = []byte{0x94}
)

const (
	measureTakes = 9 * time.Millisecond // 8.3 at most
	resetTakes   = time.Millisecond     // at most
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
	if _, err := b.Identify(ctx, d.config.Address, d.config.Chips(), sensirion.SHT3x()); err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	if err := chip.Tx(reset, nil); err != nil {
		return err
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

// readings makes values of the words that the chip has measured: section 4.6.
func readings(temperature, humidity uint16) ([]gateway.Reading, error) {
	return sensirion.Readings(temperature, max(0, min(100, -6+125*float64(humidity)/65535)))
}
