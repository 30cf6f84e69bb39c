package i2cregister

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a chip.
type Config struct {
	Bus     string   `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16   `yaml:"address" doc:"Address of the chip." required:"true" min:"0x08" max:"0x77" example:"0x18"`
	Long    bool     `yaml:"long_registers" doc:"Numbers of registers are 16 bits, the most significant byte first." default:"false"`
	ID      *ID      `yaml:"chip_id" doc:"A register by which the chip is known. Left out: whatever answers is taken for it."`
	Init    []Write  `yaml:"init" doc:"What is written when the chip is opened, in this order."`
	Before  []Write  `yaml:"before" doc:"What is written before each reading, for chips that measure when they are told."`
	Values  []Value  `yaml:"values" doc:"What is read."`
	Outputs []Output `yaml:"outputs" doc:"What commands can write; each is an action set_NAME with the argument value."`
}

// Cells are one or more bytes at a register.
type Cells struct {
	Register uint16 `yaml:"register" doc:"Number of the register." required:"true"`
	Bytes    int    `yaml:"bytes" doc:"How many bytes, read in one transaction." default:"1" min:"1" max:"4"`
	Order    string `yaml:"order" doc:"Which byte comes first: big is the most significant, as with most chips." default:"big" oneof:"big|little"`
}

// ID is what a register must have.
type ID struct {
	Cells
	Mask   uint32 `yaml:"mask" doc:"Bits that count. Left out: all." default:"0xffffffff"`
	Equals uint32 `yaml:"equals" doc:"What they must be." required:"true"`
}

// Write is a step of a set-up.
type Write struct {
	Register uint16        `yaml:"register" doc:"Number of the register." required:"true"`
	Write    []uint8       `yaml:"write" doc:"Bytes that are written there, in one transaction. Empty: only the number of the register is sent, which is a command to some chips." example:"[0x27]"`
	Pause    time.Duration `yaml:"pause" doc:"How long the chip then needs before it is asked again." default:"0s" min:"0s" max:"2s"`
	Verify   bool          `yaml:"verify" doc:"Reads it back, now and at each reading. If it is no longer there, the chip has lost its power, and is set up anew." default:"false"`
}

// Value is a reading.
type Value struct {
	Cells
	Name   string   `yaml:"name" doc:"Name of the reading." required:"true" pattern:"^[a-z][a-z0-9_]*(\\.[A-Za-z0-9_-]+)?$" want:"small letters, digits and _, then perhaps a dot and what it is of" example:"temperature"`
	Mask   uint32   `yaml:"mask" doc:"Bits that count. Left out: all." default:"0xffffffff"`
	Shift  int      `yaml:"shift" doc:"By how many bits the number then moves to the right." default:"0" min:"0" max:"31"`
	Signed bool     `yaml:"signed" doc:"The number is a two's complement; its sign is the highest bit that counts." default:"false"`
	Scale  float64  `yaml:"scale" doc:"What the number is multiplied by." default:"1"`
	Offset float64  `yaml:"offset" doc:"What is then added." default:"0"`
	Unit   string   `yaml:"unit" doc:"Unit, as a SenML or UCUM code." example:"Cel"`
	Bit    *int     `yaml:"bit" doc:"Makes it a state: true if this bit is 1. It goes with invert alone." min:"0" max:"31"`
	Invert bool     `yaml:"invert" doc:"With bit: true if it is 0." default:"false"`
	Min    *float64 `yaml:"min" doc:"Least value that is true; what is below makes the reading bad."`
	Max    *float64 `yaml:"max" doc:"Greatest value that is true; what is above makes the reading bad."`
}

// Output is a number that can be written.
type Output struct {
	Cells
	Name   string   `yaml:"name" doc:"Name of the output; the action is set_NAME." required:"true" pattern:"^[a-z][a-z0-9_]*$" want:"small letters, digits and _" example:"level"`
	Min    float64  `yaml:"min" doc:"Least value that is allowed." required:"true"`
	Max    float64  `yaml:"max" doc:"Greatest value that is allowed." required:"true"`
	Scale  float64  `yaml:"scale" doc:"The value is the number in the register times this." default:"1"`
	Offset float64  `yaml:"offset" doc:"And this added." default:"0"`
	Signed bool     `yaml:"signed" doc:"The number is a two's complement." default:"false"`
	Unit   string   `yaml:"unit" doc:"Unit, as a SenML or UCUM code." example:"%"`
	Safe   *float64 `yaml:"safe" doc:"Value at start and stop, and when the chip is set up anew. Left out: nothing is written."`
}

// Validate checks what tags cannot.
func (c Config) Validate() error {
	check := checker{long: c.Long, names: make(map[string]bool)}
	if len(c.Values) == 0 && len(c.Outputs) == 0 {
		check.fault("values", "is empty, and so is outputs; want at least one")
	}
	if c.ID != nil {
		check.register("chip_id.register", c.ID.Register)
		if c.ID.Equals&^c.ID.Mask != 0 || c.ID.Equals&^full(c.ID.Bytes) != 0 {
			check.fault("chip_id.equals", "%#x has bits that the mask or the number of bytes leaves out; want it within both", c.ID.Equals)
		}
	}
	for name, steps := range map[string][]Write{"init": c.Init, "before": c.Before} {
		for i, w := range steps {
			at := fmt.Sprintf("%s[%d].", name, i)
			check.register(at+"register", w.Register)
			if w.Verify && (name == "before" || len(w.Write) == 0) {
				check.fault(at+"verify", "is for what init writes; want it left out")
			}
		}
	}
	for i, v := range c.Values {
		check.value(fmt.Sprintf("values[%d].", i), v)
	}
	for i, o := range c.Outputs {
		at := fmt.Sprintf("outputs[%d].", i)
		check.output(at, o)
		for _, w := range c.Init {
			if w.Verify && w.Register == o.Register {
				check.fault(at+"register", "a verify of init wants %#x to stay as it is; want that left out", w.Register)
			}
		}
	}
	return errors.Join(check.errs...)
}

// checker collects what is wrong.
type checker struct {
	long  bool
	names map[string]bool
	errs  []error
}

func (c *checker) fault(field, format string, args ...any) {
	c.errs = append(c.errs, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (c *checker) register(field string, n uint16) {
	if n > 0xff && !c.long {
		c.fault(field, "is %#x; want 0xff at most, or long_registers", n)
	}
}

func (c *checker) name(at, name string) {
	if c.names[name] {
		c.fault(at+"name", "%s is the name of another one too; want another", name)
	}
	c.names[name] = true
}

func (c *checker) cells(at string, cells Cells) bool {
	if cells.Bytes < 1 || cells.Bytes > 4 {
		c.fault(at+"bytes", "is %d; want 1 to 4", cells.Bytes)
		return false
	}
	c.register(at+"register", cells.Register)
	return true
}

func (c *checker) value(at string, v Value) {
	c.name(at, v.Name)
	switch {
	case !c.cells(at, v.Cells):
	case v.Bit != nil:
		c.state(at, v)
	default:
		c.number(at, v)
	}
}

// state checks a value that is one bit.
func (c *checker) state(at string, v Value) {
	switch {
	case v.Mask != math.MaxUint32 || v.Shift != 0 || v.Signed || v.Scale != 1 || v.Offset != 0 || v.Unit != "" || v.Min != nil || v.Max != nil:
		c.fault(at+"bit", "makes it a state, for which mask, shift, signed, scale, offset, unit, min and max mean nothing; want them left out")
	case *v.Bit < 0 || *v.Bit >= 8*v.Bytes:
		c.fault(at+"bit", "is %d; want one of the %d bits that are read", *v.Bit, 8*v.Bytes)
	}
}

func (c *checker) number(at string, v Value) {
	switch {
	case v.Invert:
		c.fault(at+"invert", "is for a bit; want it left out")
	case v.Shift < 0 || v.Shift > 31 || v.Mask&full(v.Bytes)>>v.Shift == 0:
		c.fault(at+"mask", "no bit of %#x is left of %d bytes that are moved by %d; want at least one", v.Mask, v.Bytes, v.Shift)
	case v.Scale == 0 || !finite(v.Scale, v.Offset):
		c.fault(at+"scale", "is %v, and offset %v; want a number that is not 0", v.Scale, v.Offset)
	case v.Min != nil && v.Max != nil && *v.Min >= *v.Max:
		c.fault(at+"min", "%v is not below max, %v; want it below", *v.Min, *v.Max)
	}
}

func (c *checker) output(at string, o Output) {
	c.name(at, o.Name)
	if !c.cells(at, o.Cells) {
		return
	}
	if o.Scale == 0 || !finite(o.Scale, o.Offset) {
		c.fault(at+"scale", "is %v, and offset %v; want a number that is not 0", o.Scale, o.Offset)
		return
	}
	for _, bound := range []struct {
		field string
		value *float64
	}{{"min", &o.Min}, {"max", &o.Max}, {"safe", o.Safe}} {
		if bound.value == nil {
			continue
		}
		if _, err := o.encode(*bound.value); err != nil {
			c.fault(at+bound.field, "%v; want a value that the register can hold", err)
		}
	}
	if o.Min >= o.Max {
		c.fault(at+"min", "%v is not below max, %v; want it below", o.Min, o.Max)
	}
	if o.Safe != nil && (*o.Safe < o.Min || *o.Safe > o.Max) {
		c.fault(at+"safe", "is %v; want it from %v to %v", *o.Safe, o.Min, o.Max)
	}
}

func finite(all ...float64) bool {
	for _, x := range all {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// Quantities are what the map has.
func (c Config) Quantities() map[string]gateway.Value {
	all := make(map[string]gateway.Value)
	for _, v := range c.Values {
		all[v.Name] = gateway.Value{}
		if v.Bit != nil {
			all[v.Name] = gateway.Bool(false)
		}
	}
	return all
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }
