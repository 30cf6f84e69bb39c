// Package analog makes physical quantities of the voltages at the inputs of a
// converter: through a divider, as a current through a shunt, and scaled, as for
// sensors with 0-10 V or 4-20 mA.
//
// A 4-20 mA loop tells when it is broken: by NAMUR NE 43 a current of 3.6 mA or
// less and of 21 mA or more is a failure, and beyond 3.8 to 20.5 mA the sensor is
// at the end of its range.
package analog

import (
	"fmt"
	"math"

	"github.com/fieldpost/fieldpost/gateway"
)

// Input says what the voltage at an input stands for. It is part of the config
// of drivers.
type Input struct {
	Name    string  `yaml:"name" doc:"Name of the reading, such as pressure. Left out: voltage or current, with the input behind a dot." pattern:"^[a-z][a-z0-9_]*(\\.[A-Za-z0-9_-]+)?$" want:"small letters, digits and _, then perhaps a dot and what it is of" example:"pressure"`
	Divider float64 `yaml:"divider" doc:"How many times the voltage is higher than at the input: 11 for 100 kOhm above 10 kOhm. With a shunt: what an amplifier behind it divides by, usually 1." default:"1" min:"0.001" max:"10000"`
	Shunt   float64 `yaml:"shunt" doc:"Resistor in Ohm that a current flows through; the input is at its ends, and the quantity is that current. 150 goes well with 4 to 20 mA and 3.3 V. Left out: the quantity is the voltage." min:"0.0001" max:"100000" example:"150"`
	Scale   *Scale  `yaml:"scale" doc:"What voltage (in V) or current (in mA) stands for. Left out: itself."`
}

// Scale is a straight line through two points.
type Scale struct {
	From []float64 `yaml:"from" doc:"Two values of the voltage in V, or of the current in mA. [4, 20] with a shunt is a current loop that is watched: broken wire and short circuit are told." required:"true" example:"[4, 20]"`
	To   []float64 `yaml:"to" doc:"The two values of the quantity that belong to them." required:"true" example:"[0, 10]"`
	Unit string    `yaml:"unit" doc:"Unit of the quantity, as a SenML or UCUM code: Pa, m, l/s, %RH, Cel." example:"Pa"`
}

// The currents in mA of NAMUR NE 43.
const (
	broken, least = 3.6, 3.8
	most, short   = 20.5, 21.0
)

// Check says what is wrong with an input in a config; at is where it stands
// there, such as inputs[0].
func (in Input) Check(at string) error {
	s := in.Scale
	switch {
	case s == nil:
		return nil
	case len(s.From) != 2 || s.From[0] == s.From[1]:
		return &gateway.FieldError{Field: at + ".scale.from", Problem: fmt.Sprintf("is %v; want two different numbers, as in [4, 20]", s.From)}
	case len(s.To) != 2 || s.To[0] == s.To[1]:
		return &gateway.FieldError{Field: at + ".scale.to", Problem: fmt.Sprintf("is %v; want two different numbers, as in [0, 10]", s.To)}
	}
	return nil
}

// Loop tells whether the input is a 4-20 mA loop.
func (in Input) Loop() bool {
	s := in.Scale
	return in.Shunt > 0 && s != nil && len(s.From) == 2 && min(s.From[0], s.From[1]) == 4 && max(s.From[0], s.From[1]) == 20
}

// Label is the name of the reading; input is that of the input on the chip.
func (in Input) Label(input string) string {
	switch {
	case in.Name != "":
		return in.Name
	case in.Shunt > 0:
		return "current." + input
	default:
		return "voltage." + input
	}
}

// Most is the voltage at the input that must be measurable: that of a loop's
// failure; 0 if that cannot be known.
func (in Input) Most() float64 {
	if !in.Loop() {
		return 0
	}
	return short / 1e3 * in.Shunt / in.Divider
}

// Reading makes a reading of the voltage at the input. The error comes beside a
// bad reading, and says what is wrong with the loop.
func (in Input) Reading(input string, volts float64) (gateway.Reading, error) {
	value, unit := volts*in.Divider, "V"
	if in.Shunt > 0 {
		value, unit = value/in.Shunt*1e3, "mA"
	}
	r := gateway.Reading{Name: in.Label(input)}
	var err error
	if in.Loop() {
		r.Quality, err = judge(r.Name, value)
	}
	if s := in.Scale; s != nil {
		value = s.To[0] + (value-s.From[0])*(s.To[1]-s.To[0])/(s.From[1]-s.From[0])
		unit = s.Unit
	}
	if math.IsInf(value, 0) || math.IsNaN(value) {
		r.Quality = gateway.Bad
		return r, fmt.Errorf("%s: %v V cannot be scaled: %w", r.Name, volts, gateway.ErrInvalid)
	}
	r.Value, r.Unit = gateway.Number(value), unit
	return r, err
}

// judge says what the current of a loop means for its reading.
func judge(name string, milliAmpere float64) (gateway.Quality, error) {
	switch {
	case milliAmpere <= broken:
		return gateway.Bad, fmt.Errorf("%s: %.2f mA in a loop of 4 to 20: a wire is broken, or the sensor has no power or reports a failure: %w", name, milliAmpere, gateway.ErrInvalid)
	case milliAmpere >= short:
		return gateway.Bad, fmt.Errorf("%s: %.2f mA in a loop of 4 to 20: a short circuit, or the sensor reports a failure: %w", name, milliAmpere, gateway.ErrInvalid)
	case milliAmpere < least, milliAmpere > most:
		return gateway.Uncertain, nil
	default:
		return gateway.Good, nil
	}
}
