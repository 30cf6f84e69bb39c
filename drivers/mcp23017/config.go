package mcp23017

import (
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of an expander.
type Config struct {
	Bus     string `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address, by its pins A0 to A2: 0x20 with all at ground." default:"0x20" min:"0x20" max:"0x27"`
	Pins    []Pin  `yaml:"pins" doc:"What is connected. Pins that are not named stay inputs." required:"true"`
}

// Pin is one of the 16.
type Pin struct {
	Pin       string `yaml:"pin" doc:"Pin as in the data sheet: A0 to A7, B0 to B7." required:"true" pattern:"^[AB][0-7]$" want:"A0 to A7 or B0 to B7"`
	Name      string `yaml:"name" doc:"Name of its reading, and of the pin in commands." required:"true" pattern:"^[a-z][a-z0-9_]*$" want:"small letters, digits and _"`
	Direction string `yaml:"direction" doc:"in: it is read; out: it is set by commands." required:"true" oneof:"in|out"`
	PullUp    bool   `yaml:"pull_up" doc:"Connects the input to the supply by 100 kOhm, for contacts to ground." default:"false"`
	Invert    bool   `yaml:"invert" doc:"on or true is a low level: contacts to ground, relay boards that are active low." default:"false"`
	Safe      string `yaml:"safe" doc:"State that an output takes at start and stop, and when the chip has lost its power; keep leaves it as it is. Left out: off." oneof:"off|on|keep"`
}

// bit is the place of the pin in 16 bits, A0 first.
func (p Pin) bit() uint16 {
	n := uint16(1) << (p.Pin[1] - '0')
	if p.Pin[0] == 'B' {
		n <<= 8
	}
	return n
}

func (p Pin) output() bool { return p.Direction == "out" }

// level is the level of the pin that means on.
func (p Pin) level(on bool) uint16 {
	if on != p.Invert {
		return p.bit()
	}
	return 0
}

// on is what a level of all pins means for this one.
func (p Pin) on(levels uint16) bool { return (levels&p.bit() != 0) != p.Invert }

// Validate checks what tags cannot.
func (c Config) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if len(c.Pins) == 0 {
		fault("pins", "is empty; want at least one pin")
	}
	pins, names := make(map[string]bool), make(map[string]bool)
	for i, p := range c.Pins {
		at := fmt.Sprintf("pins[%d].", i)
		switch {
		case len(p.Pin) != 2 || p.Pin[0] != 'A' && p.Pin[0] != 'B' || p.Pin[1] < '0' || p.Pin[1] > '7':
			fault(at+"pin", "is %q; want A0 to A7 or B0 to B7", p.Pin)
		case pins[p.Pin]:
			fault(at+"pin", "%s is there twice; want each pin once", p.Pin)
		case p.Pin[1] == '7' && !p.output():
			fault(at+"pin", "%s is an output only; as an input it can disturb the bus (data sheet revision D); want another pin", p.Pin)
		}
		if names[p.Name] {
			fault(at+"name", "%s is the name of another pin too; want another one", p.Name)
		}
		if p.PullUp && p.output() {
			fault(at+"pull_up", "is for inputs; want it left out")
		}
		if p.Safe != "" && !p.output() {
			fault(at+"safe", "is for outputs; want it left out")
		}
		pins[p.Pin], names[p.Name] = true, true
	}
	return errors.Join(errs...)
}

// Quantities are the states of the pins.
func (c Config) Quantities() map[string]gateway.Value {
	all := make(map[string]gateway.Value)
	for _, p := range c.Pins {
		all[p.Name] = gateway.Bool(false)
	}
	return all
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped. The chip has no id.
func (Config) Chips() []bus.Chip {
	return []bus.Chip{{Name: "MCP23017", Addresses: []uint16{0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27}}}
}
