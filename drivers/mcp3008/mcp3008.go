// Package mcp3008 reads Microchip's analog-digital converter MCP3008: eight inputs
// against ground, or differences of neighbours, 10 bits, on SPI. MCP3004 is the
// same with four.
//
// Readings, one for each configured input:
//
//	voltage.0  V   what is at the input, times the divider
//	current.0  mA  through a shunt
//	pressure   Pa  or whatever name and unit the config gives it
//
// Source: Microchip, MCP3004/3008 data sheet, DS21295D. Error: 1 count, 0.1 % of
// the reference, plus what the reference itself is off; on many boards that is the
// 3.3 V supply, 2 to 3 %.
//
// After the ten bits the chip sends them once more, the least first (figure 5-2).
// They are read too and compared, so that a disturbed or missing answer is told.
// A data line that is held low looks like 0 V, though.
package mcp3008

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/analog"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a converter.
type Config struct {
	Bus        string  `yaml:"bus" doc:"SPI bus that the chip is on." default:"spi-0"`
	ChipSelect int     `yaml:"chip_select" doc:"Chip select that its pin CS is wired to: 0 for CE0, 1 for CE1." default:"0" min:"0" max:"255"`
	Reference  float64 `yaml:"reference" doc:"Voltage in V at its pin VREF." default:"3.3" min:"0.25" max:"5.5"`
	Inputs     []Input `yaml:"inputs" doc:"What is connected." required:"true"`
}

// Input of the converter.
type Input struct {
	Pins string `yaml:"pins" doc:"A pin against ground, or what it has more than its neighbour." required:"true" oneof:"CH0|CH1|CH2|CH3|CH4|CH5|CH6|CH7|CH0-CH1|CH1-CH0|CH2-CH3|CH3-CH2|CH4-CH5|CH5-CH4|CH6-CH7|CH7-CH6"`
	analog.Input
}

// number is the part of the pins that tells inputs apart: 0, or 2-3.
func (in Input) number() string {
	if len(in.Pins) == len("CH0-CH1") {
		return in.Pins[2:4] + in.Pins[6:]
	}
	return in.Pins[2:]
}

// selection is the single/diff bit and the three of the input: table 5-2.
func (in Input) selection() byte {
	channel := in.Pins[2] - '0'
	if len(in.Pins) == len("CH0") {
		channel |= 1 << 3
	}
	return channel
}

// Validate checks what tags cannot.
func (c Config) Validate() error {
	var errs []error
	if len(c.Inputs) == 0 {
		errs = append(errs, &gateway.FieldError{Field: "inputs", Problem: "is empty; want at least one input"})
	}
	names := make(map[string]bool)
	for i, in := range c.Inputs {
		at := fmt.Sprintf("inputs[%d]", i)
		if len(in.Pins) < len("CH0") {
			errs = append(errs, &gateway.FieldError{Field: at + ".pins", Problem: fmt.Sprintf("is %q; want one such as CH0", in.Pins)})
			continue
		}
		if most := in.Most(); most > c.Reference {
			errs = append(errs, &gateway.FieldError{Field: at + ".shunt", Problem: fmt.Sprintf(
				"21 mA, by which a failure is known, give %.3f V, above the reference of %v V; want a smaller one", most, c.Reference)})
		}
		if name := in.Label(in.number()); names[name] {
			errs = append(errs, &gateway.FieldError{Field: at + ".name", Problem: name + " is the name of another input too; want another one"})
		}
		names[in.Label(in.number())] = true
		errs = append(errs, in.Check(at))
	}
	return errors.Join(errs...)
}

// Quantities are what the inputs give.
func (c Config) Quantities() map[string]gateway.Value {
	all := make(map[string]gateway.Value)
	for _, in := range c.Inputs {
		all[in.Label(in.number())] = gateway.Value{}
	}
	return all
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtSPI(c.Bus, c.ChipSelect)} }

// mode is good for 2.7 V and up: 1.35 MHz, section 1.0.
var mode = bus.SPIMode{MaxSpeed: 1350 * physic.KiloHertz, Mode: spi.Mode0}

// Dev is one MCP3008.
type Dev struct {
	config Config
	buses  *bus.Set

	mu   sync.Mutex
	chip *bus.SPIChip // nil while closed
}

// New returns a converter that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses}, nil
}

// Open finds the chip, by a first conversion.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.SPI(d.config.Bus)
	if err != nil {
		return err
	}
	chip, err := b.Chip(d.config.ChipSelect, mode)
	if err != nil {
		return err
	}
	if _, err := convert(chip, d.config.Inputs[0]); err != nil {
		return err
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

// Read implements gateway.Sensor. What is wrong at one input does not keep the
// others from being read.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.chip == nil {
		return nil, bus.ErrNotOpen
	}
	var readings []gateway.Reading
	var faults []error
	for _, in := range d.config.Inputs {
		if err := ctx.Err(); err != nil {
			return readings, errors.Join(append(faults, err)...)
		}
		counts, err := convert(d.chip, in)
		if err != nil {
			return readings, errors.Join(append(faults, fmt.Errorf("%s: %w", in.Pins, err))...)
		}
		reading, err := in.Reading(in.number(), float64(counts)/1024*d.config.Reference)
		if counts == 1023 && err == nil {
			reading.Quality = gateway.Bad
			err = fmt.Errorf("%s: the voltage is at or above the reference of %v V: %w", reading.Name, d.config.Reference, gateway.ErrInvalid)
		}
		readings, faults = append(readings, reading), append(faults, err)
	}
	return readings, errors.Join(faults...)
}

// convert makes one conversion.
func convert(chip *bus.SPIChip, in Input) (uint16, error) {
	var answer [5]byte
	if err := chip.Tx([]byte{0x01, in.selection() << 4, 0, 0, 0}, answer[:]); err != nil {
		return 0, err
	}
	counts, ok := decode(answer)
	if !ok {
		return 0, fmt.Errorf("what it says (%x) is no answer of an MCP3008; check CS, DOUT and its supply: %w", answer, gateway.ErrUnavailable)
	}
	return counts, nil
}

// decode reads ten bits that follow a zero, and the nine after them, which are
// the same from the second least on. Then come zeros.
func decode(answer [5]byte) (counts uint16, ok bool) {
	counts = uint16(answer[1]&3)<<8 | uint16(answer[2])
	again := uint16(answer[3])<<1 | uint16(answer[4]>>7) // from bit 1 to bit 9
	mirrored := bits.Reverse16(again) >> 7               // nine bits, the highest first
	return counts, answer[1]&4 == 0 && mirrored == counts>>1 && answer[4]&0x7f == 0
}
