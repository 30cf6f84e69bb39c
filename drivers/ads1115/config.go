package ads1115

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/analog"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a converter.
type Config struct {
	Bus     string  `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16  `yaml:"address" doc:"Address, by its pin ADDR: 0x48 with ADDR at ground, 0x49 at the supply, 0x4a at SDA, 0x4b at SCL." default:"0x48" min:"0x48" max:"0x4b"`
	Rate    int     `yaml:"rate" doc:"Conversions a second: 8, 16, 32, 64, 128, 250, 475 or 860. A slow one averages noise away; 8 suppresses the hum of mains best." default:"128"`
	Inputs  []Input `yaml:"inputs" doc:"What is connected." required:"true"`
}

// Input of the converter.
type Input struct {
	Pins  string  `yaml:"pins" doc:"A pin against ground, or the difference of two." required:"true" oneof:"AIN0|AIN1|AIN2|AIN3|AIN0-AIN1|AIN0-AIN3|AIN1-AIN3|AIN2-AIN3"`
	Range float64 `yaml:"range" doc:"Highest voltage that can be measured, in V: 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256. The smaller, the finer." default:"4.096"`
	analog.Input
}

var (
	// rates has the bits DR of the conversions a second.
	rates = map[int]uint16{8: 0 << 5, 16: 1 << 5, 32: 2 << 5, 64: 3 << 5, 128: 4 << 5, 250: 5 << 5, 475: 6 << 5, 860: 7 << 5}
	// ranges has the bits PGA of the full scales in V.
	ranges = map[float64]uint16{6.144: 0 << 9, 4.096: 1 << 9, 2.048: 2 << 9, 1.024: 3 << 9, 0.512: 4 << 9, 0.256: 5 << 9}
	// muxes has the bits MUX of the pins.
	muxes = map[string]uint16{
		"AIN0-AIN1": 0 << 12, "AIN0-AIN3": 1 << 12, "AIN1-AIN3": 2 << 12, "AIN2-AIN3": 3 << 12,
		"AIN0": 4 << 12, "AIN1": 5 << 12, "AIN2": 6 << 12, "AIN3": 7 << 12,
	}
)

// Validate checks what tags cannot.
func (c Config) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if _, ok := rates[c.Rate]; !ok {
		fault("rate", "is %d; want one of %v", c.Rate, slices.Sorted(maps.Keys(rates)))
	}
	if len(c.Inputs) == 0 {
		fault("inputs", "is empty; want at least one input")
	}
	names := make(map[string]bool)
	for i, in := range c.Inputs {
		at := fmt.Sprintf("inputs[%d]", i)
		if _, ok := ranges[in.Range]; !ok {
			fault(at+".range", "is %v; want one of %v", in.Range, slices.Sorted(maps.Keys(ranges)))
		}
		if _, ok := muxes[in.Pins]; !ok {
			fault(at+".pins", "is %q; want one of %v", in.Pins, slices.Sorted(maps.Keys(muxes)))
		}
		if most := in.Most(); most > in.Range {
			fault(at+".range", "is %v V, but 21 mA, by which a failure is known, give %.3f V at the shunt; want a greater range or a smaller shunt", in.Range, most)
		}
		name := in.Label(in.number())
		if names[name] {
			fault(at+".name", "%s is the name of another input too; want another one", name)
		}
		names[name] = true
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
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped.
func (Config) Chips() []bus.Chip {
	return []bus.Chip{withLow("ADS1115", 0x80, 0x00)}
}

// relatives have the same addresses and another value in the register that
// stands for an id.
func relatives() []bus.Chip {
	return []bus.Chip{withLow("LM75 or TMP102", 0x4b, 0x00)}
}

func withLow(name string, value ...byte) bus.Chip {
	return bus.Chip{Name: name, Addresses: []uint16{0x48, 0x49, 0x4a, 0x4b}, Ask: []byte{regLow}, Answer: 2, Is: bus.HasID(value...)}
}

// number is the part of the pins that tells inputs apart: 0, or 2-3.
func (in Input) number() string { return strings.ReplaceAll(in.Pins, "AIN", "") }

// setting is the config register for a conversion, but for the rate.
func (in Input) setting() uint16 {
	return start | muxes[in.Pins] | ranges[in.Range] | singleShot | noCompare
}

// reading makes a reading of a result.
func (in Input) reading(counts int16) (gateway.Reading, error) {
	reading, err := in.Reading(in.number(), float64(counts)/32768*in.Range)
	if counts == -32768 || counts == 32767 {
		reading.Quality = gateway.Bad
		err = errors.Join(err, fmt.Errorf("%s: the voltage is beyond the range of %v V; want a greater range, or a divider: %w", reading.Name, in.Range, gateway.ErrInvalid))
	}
	return reading, err
}
