package pca9685

import (
	"errors"
	"fmt"
	"math"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// Config of a chip.
type Config struct {
	Bus       string           `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address   uint16           `yaml:"address" doc:"Address, by its pins A0 to A5: 0x40 with all at ground. Not 0x70, where each chip answers after power-up." default:"0x40" min:"0x40" max:"0x77"`
	Frequency config.Frequency `yaml:"frequency" doc:"Pulses a second, of all outputs: 50Hz for servos, up to 1526Hz for lamps and motors." default:"50Hz" min:"24Hz" max:"1526Hz"`
	Invert    bool             `yaml:"invert" doc:"All outputs are on when they are low." default:"false"`
	OpenDrain bool             `yaml:"open_drain" doc:"The outputs pull to ground only, for lamps and transistors above the supply of the chip." default:"false"`
	Outputs   []Output         `yaml:"outputs" doc:"What is connected." required:"true"`
}

// Output is one of the 16.
type Output struct {
	Channel int       `yaml:"channel" doc:"Number of the output." required:"true" min:"0" max:"15"`
	Name    string    `yaml:"name" doc:"Name of its reading, and of its action set_NAME." required:"true" pattern:"^[a-z][a-z0-9_]*$" want:"small letters, digits and _"`
	Mode    string    `yaml:"mode" doc:"duty: how long it is on, in %; servo: the angle of a servo, in deg." default:"duty" oneof:"duty|servo"`
	Pulse   []float64 `yaml:"pulse" doc:"Servo: lengths in ms of the pulses for both ends. Look into its data sheet; too far breaks it. Left out: [1, 2]." example:"[1, 2]"`
	Angle   []float64 `yaml:"angle" doc:"Servo: angles in deg of both ends. Left out: [0, 90]." example:"[0, 90]"`
	Safe    *float64  `yaml:"safe" doc:"Value at start and stop, and when the chip has lost its power. Left out: off; a servo then gets no pulses and can be moved by hand."`
}

func (o Output) servo() bool { return o.Mode == "servo" }

// pulses and angles are those of a servo's ends.
func (o Output) pulses() []float64 { return orElse(o.Pulse, []float64{1, 2}) }
func (o Output) angles() []float64 { return orElse(o.Angle, []float64{0, 90}) }

func orElse(given, standard []float64) []float64 {
	if given == nil {
		return standard
	}
	return given
}

// bounds are the least and the greatest value of an output, and its unit.
func (o Output) bounds() (least, most float64, unit string) {
	if o.servo() {
		angles := o.angles()
		return min(angles[0], angles[1]), max(angles[0], angles[1]), "deg"
	}
	return 0, 100, "%"
}

const (
	// clock is the chip's own, typically; it can be 3 % off.
	clock = 25e6
	// steps of one pulse: it is on for 0 to 4096 of them.
	steps = 4096
)

// prescale is what the clock is divided by: section 7.3.5.
func (c Config) prescale() byte {
	return byte(max(3, min(255, math.Round(clock/steps/float64(c.Frequency))-1)))
}

// step is how long one step takes, in ms.
func (c Config) step() float64 { return (float64(c.prescale()) + 1) / clock * 1e3 }

// on is for how many steps of a pulse an output is on to have a value.
func (c Config) on(o Output, value float64) int {
	if !o.servo() {
		return int(math.Round(value / 100 * steps))
	}
	pulses, angles := o.pulses(), o.angles()
	length := pulses[0] + (value-angles[0])*(pulses[1]-pulses[0])/(angles[1]-angles[0])
	return int(math.Round(length / c.step()))
}

// Validate checks what tags cannot.
func (c Config) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch {
	case c.Address == 0x70:
		fault("address", "0x70 is where each chip answers after power-up; want another one")
	case c.Frequency < 24 || c.Frequency > 1526:
		fault("frequency", "is %d Hz; want 24 to 1526", c.Frequency)
	}
	if len(c.Outputs) == 0 {
		fault("outputs", "is empty; want at least one output")
	}
	channels, names := make(map[int]bool), make(map[string]bool)
	for i, o := range c.Outputs {
		at := fmt.Sprintf("outputs[%d].", i)
		if o.Channel < 0 || o.Channel > 15 || channels[o.Channel] {
			fault(at+"channel", "is %d; want 0 to 15, each once", o.Channel)
		}
		if names[o.Name] {
			fault(at+"name", "%s is the name of another output too; want another one", o.Name)
		}
		channels[o.Channel], names[o.Name] = true, true
		c.checkValues(at, o, fault)
	}
	return errors.Join(errs...)
}

// checkValues checks what an output can be told.
func (c Config) checkValues(at string, o Output, fault func(field, format string, args ...any)) {
	switch {
	case o.servo() && !c.checkServo(at, o, fault):
		return
	case !o.servo() && (o.Pulse != nil || o.Angle != nil):
		fault(at+"mode", "pulse and angle are for servos; want mode: servo, or them left out")
	}
	if least, most, unit := o.bounds(); o.Safe != nil && !(*o.Safe >= least && *o.Safe <= most) {
		fault(at+"safe", "is %v; want %v to %v %s", *o.Safe, least, most, unit)
	}
}

func (c Config) checkServo(at string, o Output, fault func(field, format string, args ...any)) bool {
	pulses, angles := o.pulses(), o.angles()
	switch {
	case len(angles) != 2 || angles[0] == angles[1]:
		fault(at+"angle", "is %v; want two different numbers, as in [0, 90]", angles)
	case len(pulses) != 2 || min(pulses[0], pulses[1]) <= 0 || pulses[0] == pulses[1]:
		fault(at+"pulse", "is %v; want two different times in ms, as in [1, 2]", pulses)
	case c.Frequency >= 24 && max(pulses[0], pulses[1]) >= c.step()*steps:
		fault(at+"pulse", "is %v ms, longer than the %.1f ms between two pulses; want a lower frequency", pulses, c.step()*steps)
	default:
		return true
	}
	return false
}

// Quantities are what the outputs are told to be.
func (c Config) Quantities() map[string]gateway.Value {
	all := make(map[string]gateway.Value)
	for _, o := range c.Outputs {
		all[o.Name] = gateway.Value{}
		if o.servo() {
			all[o.active()] = gateway.Bool(false)
		}
	}
	return all
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }
