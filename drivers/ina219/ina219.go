// Package ina219 reads the power monitor INA219 of Texas Instruments: the voltage
// of a supply, and the current through a shunt.
//
// Readings:
//
//	voltage  V  0 to 26; at the load (pin IN-); steps of 4 mV, ±0.5 %
//	current  A  by the shunt; steps of 10 µV across it, ±0.5 %, negative when it
//	            flows back
//	power    W  the product of both
//
// Source: Texas Instruments, INA219 data sheet, SBOS448G.
//
// Current and power are worked out here from the voltages. The calibration
// register would have the chip do it in whole numbers, with an overflow of its
// own; it stays 0, and an overload is told by the full scale of the shunt.
//
// periph's ina219 is not used: it hides why a transaction has failed, and does
// not wait for a measurement to be over.
package ina219

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a power monitor.
type Config struct {
	Bus     string  `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16  `yaml:"address" doc:"Address, by its pins A0 and A1: 0x40 with both at ground." default:"0x40" min:"0x40" max:"0x4f"`
	Shunt   float64 `yaml:"shunt" doc:"Resistor in Ohm between IN+ and IN-; most boards have 0.1." default:"0.1" min:"0.0001" max:"10"`
	Most    float64 `yaml:"max_current" doc:"Highest current in A that has to be measured. Together with the shunt it gives 0.32 V at most; the less, the finer." default:"3.2" min:"0.001" max:"1000"`
	Samples int     `yaml:"samples" doc:"How many measurements are averaged: 1, 2, 4, 8, 16, 32, 64 or 128. One of voltage and current takes 1.1 ms." default:"16"`
}

// gains are the full scales of the shunt in V, from PGA = 0 on.
var gains = []float64{0.04, 0.08, 0.16, 0.32}

// gain is the PGA for the highest current.
func (c Config) gain() int {
	for i, most := range gains {
		if c.Most*c.Shunt <= most*1.000001 { // 3.2 times 0.1 is a little more than 0.32
			return i
		}
	}
	return -1
}

// average is the code of the number of samples: 8 to 15 for 1 to 128.
func (c Config) average() int {
	n := math.Log2(float64(c.Samples))
	if c.Samples < 1 || c.Samples > 128 || n != math.Trunc(n) {
		return -1
	}
	return 8 + int(n)
}

// Validate checks what tags cannot.
func (c Config) Validate() error {
	switch {
	case c.gain() < 0:
		return &gateway.FieldError{Field: "max_current", Problem: fmt.Sprintf("%v A give %.3g V at the shunt of %v Ohm; want 0.32 V at most", c.Most, c.Most*c.Shunt, c.Shunt)}
	case c.average() < 0:
		return &gateway.FieldError{Field: "samples", Problem: fmt.Sprintf("is %d; want 1, 2, 4, 8, 16, 32, 64 or 128", c.Samples)}
	default:
		return nil
	}
}

// Quantities are what the chip gives.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"voltage": {}, "current": {}, "power": {}}
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped. The chip has no id.
func (Config) Chips() []bus.Chip {
	var all []uint16
	for address := uint16(0x40); address <= 0x4f; address++ {
		all = append(all, address)
	}
	return []bus.Chip{{Name: "INA219", Addresses: all}}
}

// Registers and bits: section 8.6.
const (
	regConfig  = 0x00
	regShunt   = 0x01
	regVoltage = 0x02

	reset      = 0x8000
	afterReset = 0x399f
	wide       = 0x2000 // up to 32 V; the steps are the same as up to 16 V
	once       = 0x0003 // shunt and bus voltage
	ready      = 0x0002
	overflow   = 0x0001
)

// Dev is one INA219.
type Dev struct {
	config  Config
	setting uint16
	buses   *bus.Set

	mu   sync.Mutex
	chip *i2c.Dev // nil while closed
}

// New returns a power monitor that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	average := uint16(c.average())                                          //nolint:gosec // 8 to 15
	setting := wide | uint16(c.gain())<<11 | average<<7 | average<<3 | once //nolint:gosec // 0 to 3
	return &Dev{config: c, setting: setting, buses: buses}, nil
}

// Open finds the chip. It has no id, but is known by what a reset makes of its
// config register.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	is, err := register(chip, regConfig)
	if err == nil && is&0xc000 == 0 { // those bits are never set
		if err = chip.Tx([]byte{regConfig, reset >> 8, reset & 0xff}, nil); err == nil {
			is, err = register(chip, regConfig)
		}
	}
	switch {
	case err != nil:
		return err
	case is != afterReset:
		return fmt.Errorf("another chip answers: its register 0 has %#04x, that of an INA219 %#04x: %w", is, afterReset, gateway.ErrUnavailable)
	}
	d.chip = chip
	return nil
}

// Close implements the contract of drivers.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chip = nil
	return nil
}

// Read implements gateway.Sensor: it measures once.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.chip == nil:
		return nil, bus.ErrNotOpen
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if err := d.chip.Tx([]byte{regConfig, byte(d.setting >> 8), byte(d.setting)}, nil); err != nil {
		return nil, err
	}
	voltage, err := d.measured(ctx)
	if err != nil {
		return nil, err
	}
	shunt, err := register(d.chip, regShunt)
	if err != nil {
		return nil, err
	}
	is, err := register(d.chip, regConfig) // last, so that it stands for all before
	switch {
	case err != nil:
		return nil, err
	case is != d.setting:
		return nil, fmt.Errorf("the chip has lost its setting (%#04x in place of %#04x); has it lost its power, or does another program use it? %w", is, d.setting, gateway.ErrUnavailable)
	case voltage&overflow != 0:
		return nil, fmt.Errorf("the chip reports an overflow, though it calculates nothing: %w", gateway.ErrInvalid)
	}
	return d.readings(voltage>>3, int16(shunt)) //nolint:gosec // two's complement
}

// measured waits for the measurement and returns the voltage register.
func (d *Dev) measured(ctx context.Context) (uint16, error) {
	period := time.Duration(d.config.Samples) * 2 * 532 * time.Microsecond
	for wait, n := period, 0; n < 1+8; wait, n = period/8, n+1 {
		if err := bus.Wait(ctx, wait); err != nil {
			return 0, err
		}
		voltage, err := register(d.chip, regVoltage)
		if err != nil || voltage&ready != 0 {
			return voltage, err
		}
	}
	return 0, fmt.Errorf("the measurement does not end within twice its time: %w", gateway.ErrTimeout)
}

func (d *Dev) readings(voltage uint16, shunt int16) ([]gateway.Reading, error) {
	volts, amperes := float64(voltage)*4e-3, float64(shunt)*10e-6/d.config.Shunt
	readings := []gateway.Reading{
		{Name: "voltage", Value: gateway.Number(volts), Unit: "V"},
		{Name: "current", Value: gateway.Number(amperes), Unit: "A"},
		{Name: "power", Value: gateway.Number(volts * amperes), Unit: "W"},
	}
	full := gains[d.config.gain()]
	if math.Abs(float64(shunt)*10e-6) < full-15e-6 {
		return readings, nil
	}
	readings[1].Quality, readings[2].Quality = gateway.Bad, gateway.Bad
	return readings, fmt.Errorf("current: %.3g A or more is beyond what can be measured with max_current %v A: %w", math.Abs(amperes), d.config.Most, gateway.ErrInvalid)
}

func register(chip *i2c.Dev, n byte) (uint16, error) {
	var value [2]byte
	err := chip.Tx([]byte{n}, value[:])
	return binary.BigEndian.Uint16(value[:]), err
}
