// Package ads1115 reads the analog-digital converter ADS1115 of Texas
// Instruments: four inputs against ground, or differences of them, 16 bits.
//
// Readings, one for each configured input:
//
//	voltage.0  V   what is at the input, times the divider
//	current.0  mA  through a shunt
//	pressure   Pa  or whatever name and unit the config gives it
//
// Source: Texas Instruments, ADS111x data sheet, SBAS444D. Errors of gain and
// offset: 0.15 % and 3 counts at most; the reference drifts little.
//
// The clock of the chip is off by up to 10 %, and until a conversion is over the
// result of the one before is still there; so the chip is asked whether it is
// done. periph's ads1x15 is not used: it waits for the nominal time alone, and
// cannot be interrupted. An input must never be above the supply of the chip,
// whatever the range is.
package ads1115

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Registers and bits of the config register: section 8.1.
const (
	regConversion = 0x00
	regConfig     = 0x01
	regLow        = 0x02

	start      = 0x8000 // written: convert; read: no conversion under way
	singleShot = 0x0100
	noCompare  = 0x0003
)

// Dev is one ADS1115.
type Dev struct {
	config Config
	buses  *bus.Set

	mu   sync.Mutex
	chip *i2c.Dev // nil while closed
}

// New returns a converter that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses}, nil
}

// Open finds the chip. It has no id; but its threshold register, which is never
// written here, has the value of the reset.
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
	d.chip = &i2c.Dev{Bus: b, Addr: d.config.Address}
	return nil
}

// Close implements the contract of drivers.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chip = nil
	return nil
}

// Read implements gateway.Sensor: it converts one input after the other. What is
// wrong at one of them does not keep the others from being read.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.chip == nil {
		return nil, bus.ErrNotOpen
	}
	var readings []gateway.Reading
	var faults []error
	for _, in := range d.config.Inputs {
		counts, err := d.convert(ctx, in)
		if err != nil {
			return readings, errors.Join(append(faults, fmt.Errorf("%s: %w", in.Pins, err))...)
		}
		reading, err := in.reading(counts)
		readings, faults = append(readings, reading), append(faults, err)
	}
	return readings, errors.Join(faults...)
}

// convert makes one conversion. A cancelled one goes on in the chip, where the
// next one takes its place.
func (d *Dev) convert(ctx context.Context, in Input) (int16, error) {
	setting := in.setting() | rates[d.config.Rate]
	if err := d.chip.Tx([]byte{regConfig, byte(setting >> 8), byte(setting)}, nil); err != nil {
		return 0, err
	}
	period := time.Second/time.Duration(d.config.Rate) + 50*time.Microsecond // and the time to wake up
	for wait, n := period, 0; n < 1+8; wait, n = period/8, n+1 {
		if err := bus.Wait(ctx, wait); err != nil {
			return 0, err
		}
		done, err := d.done(setting)
		switch {
		case err != nil:
			return 0, err
		case done:
			return d.result(setting)
		}
	}
	return 0, fmt.Errorf("the conversion does not end within twice its time: %w", gateway.ErrTimeout)
}

// done tells whether the conversion with a setting is over.
func (d *Dev) done(setting uint16) (bool, error) {
	is, err := d.register(regConfig)
	if err == nil && is&^start != setting&^start {
		err = fmt.Errorf("the chip has lost its setting (%#04x in place of %#04x); has it lost its power, or does another program use it? %w", is, setting, gateway.ErrUnavailable)
	}
	return is&start != 0, err
}

// result reads the conversion. 0 is what a chip has as well that has lost its
// power since it was asked.
func (d *Dev) result(setting uint16) (int16, error) {
	counts, err := d.register(regConversion)
	if err == nil && counts == 0 {
		_, err = d.done(setting)
	}
	return int16(counts), err //nolint:gosec // two's complement
}

func (d *Dev) register(n byte) (uint16, error) {
	var value [2]byte
	err := d.chip.Tx([]byte{n}, value[:])
	return binary.BigEndian.Uint16(value[:]), err
}
