// Package mcp23017 has the 16 inputs and outputs of Microchip's MCP23017: door
// contacts, buttons, relays.
//
// Readings: one for each configured pin, true or false, by its name; of an
// output, what it was told to be.
//
// Actions: set switches an output, pulse switches it for a moment. What the
// outputs should be is kept here and written whole, never read from the chip and
// changed. Each read compares the registers of the chip with that: a chip that
// has lost its power, or was disturbed, is reported as unavailable, opened anew,
// and its outputs take their safe state. Opening alone leaves the outputs of a chip
// that was only out of reach as they are; but the gateway makes outputs safe each
// time that it has found them again.
//
// Source: Microchip, MCP23017/MCP23S17 data sheet, DS20001952, revision D. Pins A7
// and B7 are outputs only since then. Currents: 25 mA a pin, 125 mA in all.
//
// periph's mcp23xxx is not used: it takes a failed read for a low level, switches
// a pin to output before it sets the level, and keeps no safe state.
package mcp23017

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Registers with IOCON.BANK = 0, each a pair for A and B: table 3-3.
const (
	regDirection = 0x00 // 1 is input
	regPolarity  = 0x02
	regIOCon     = 0x0a
	regPullUp    = 0x0c
	regLevels    = 0x12
	regLatch     = 0x14
	registers    = 0x16

	// regIOCon1 is where IOCON is with BANK = 1; with BANK = 0 it enables
	// interrupts of port B, which are not used.
	regIOCon1 = 0x05
)

// Dev is one MCP23017.
type Dev struct {
	config Config
	buses  *bus.Set
	// direction and pullUp are what the registers have to be.
	direction, pullUp uint16
	// acting is held by whoever switches an output, a pulse for as long as it
	// lasts.
	acting chan struct{}
	known  bus.Known

	mu   sync.Mutex // guards the rest
	chip *i2c.Dev   // nil while closed
	// latch is what the outputs should be.
	latch uint16
	// meant tells whether latch was ever chosen, sure whether it is known to
	// have reached the chip.
	meant, sure bool
}

// New returns an expander that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &Dev{config: c, buses: buses, direction: 0xffff, acting: make(chan struct{}, 1)}
	for _, p := range c.Pins {
		if p.output() {
			d.direction &^= p.bit()
		}
		if p.PullUp {
			d.pullUp |= p.bit()
		}
	}
	return d, nil
}

// Open sets the chip up, with its outputs in their safe state; one that has kept
// what it was told is left as it is.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	is, err := read(chip)
	if err != nil {
		return err
	}
	if is.pair(regIOCon) == 0xffff {
		return fmt.Errorf("another chip answers there: no register of an MCP23017 can be %x: %w", is[regIOCon], gateway.ErrUnavailable)
	}
	if !d.sure || d.differs(is) != nil {
		d.latch = d.first(is)
		d.meant, d.sure = true, false
		d.known.ForgetAll()
		if err := d.setUp(chip); err != nil {
			return err
		}
		d.sure = true
	}
	d.chip = chip
	d.know()
	return nil
}

// first are the levels of the outputs when the chip is set up.
func (d *Dev) first(is image) uint16 {
	latch := d.safe(d.latch)
	for _, p := range d.config.Pins {
		if !p.output() || p.Safe != "keep" || d.meant {
			continue
		}
		latch &^= p.bit()
		if is.pair(regDirection)&p.bit() == 0 { // it was an output before
			latch |= is.pair(regLatch) & p.bit()
		} else {
			latch |= p.level(false)
		}
	}
	return latch
}

// safe are the levels of the outputs in their safe state.
func (d *Dev) safe(latch uint16) uint16 {
	for _, p := range d.config.Pins {
		if p.output() && p.Safe != "keep" {
			latch = latch&^p.bit() | p.level(p.Safe == "on")
		}
	}
	return latch
}

// setUp writes all registers, the levels before the directions.
func (d *Dev) setUp(chip *i2c.Dev) error {
	for _, w := range [][]byte{
		{regIOCon1, 0},
		{regIOCon, 0},
		{regLatch, byte(d.latch), byte(d.latch >> 8)},
		{regPolarity, 0, 0},
		{regPullUp, byte(d.pullUp), byte(d.pullUp >> 8)},
		{regDirection, byte(d.direction), byte(d.direction >> 8)},
	} {
		if err := chip.Tx(w, nil); err != nil {
			return err
		}
	}
	is, err := read(chip)
	if err != nil {
		return err
	}
	if err := d.differs(is); err != nil {
		return fmt.Errorf("what answers there does not keep what it is told, so it is no MCP23017, or its reset is held low: %w", err)
	}
	return nil
}

// Close implements the contract of drivers. The outputs stay as they are.
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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.chip == nil {
		return nil, bus.ErrNotOpen
	}
	is, err := read(d.chip)
	if err != nil {
		return nil, err
	}
	if err := d.differs(is); err != nil {
		return nil, fmt.Errorf("the chip has lost what it was told; has it lost its power? %w", err)
	}
	readings := make([]gateway.Reading, 0, len(d.config.Pins))
	for _, p := range d.config.Pins {
		levels := is.pair(regLevels)
		if p.output() {
			levels = d.latch
		}
		readings = append(readings, gateway.Reading{Name: p.Name, Value: gateway.Bool(p.on(levels))})
	}
	return readings, nil
}

// image has all registers.
type image [registers]byte

func (i image) pair(register int) uint16 { return binary.LittleEndian.Uint16(i[register:]) }

func read(chip *i2c.Dev) (image, error) {
	var is image
	err := chip.Tx([]byte{0}, is[:])
	return is, err
}

// differs says in what a chip is not as it should be.
func (d *Dev) differs(is image) error {
	for _, r := range []struct {
		name     string
		register int
		want     uint16
		mask     uint16
	}{
		{"IODIR", regDirection, d.direction, 0xffff},
		{"IPOL", regPolarity, 0, 0xffff},
		{"IOCON", regIOCon, 0, 0xffff},
		{"GPPU", regPullUp, d.pullUp, 0xffff},
		{"OLAT", regLatch, d.latch, ^d.direction},
	} {
		if got := is.pair(r.register); (got^r.want)&r.mask != 0 {
			return fmt.Errorf("%s is %04x in place of %04x: %w", r.name, got, r.want, gateway.ErrUnavailable)
		}
	}
	return nil
}
