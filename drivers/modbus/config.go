package modbus

import (
	"errors"
	"fmt"
	"math"
	"regexp"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a unit.
type Config struct {
	Bus          string             `yaml:"bus" doc:"Bus of the unit: one of the section buses, of type modbus-rtu or modbus-tcp." required:"true" example:"field"`
	Unit         int                `yaml:"unit" doc:"Address of the unit." required:"true" min:"1" max:"247"`
	Order        string             `yaml:"order" doc:"Order of the bytes of values with two or four registers, A being the highest: ABCD is the standard, CDAB has the low word first." default:"ABCD" oneof:"ABCD|CDAB|BADC|DCBA"`
	MaxRegisters int                `yaml:"max_registers" doc:"Most registers that the unit gives in one answer." default:"100" min:"4" max:"125"`
	MaxGap       int                `yaml:"max_gap" doc:"Registers that are not listed are read too, up to so many in a row, if that saves a request. If the unit refuses, it is asked for the listed ones alone." default:"8" min:"0" max:"100"`
	Registers    []RegisterConfig   `yaml:"registers" doc:"What the unit has." required:"true"`
	Safe         map[string]float64 `yaml:"safe" doc:"What registers that can be written are set to at start and stop, by name."`
}

// RegisterConfig is one value of a unit.
type RegisterConfig struct {
	Name    string       `yaml:"name" doc:"Name of the reading." required:"true" pattern:"^[a-z][a-z0-9_]*(\\.[A-Za-z0-9_./:@-]+)?$" want:"small letters, digits and _, then perhaps a dot and what it is of" example:"temperature"`
	Table   string       `yaml:"table" doc:"Table of the unit: holding and input have registers, coil and discrete have bits." default:"holding" oneof:"holding|input|coil|discrete"`
	Address int          `yaml:"address" doc:"Address within the table, counted from 0: what a manual calls 40001 is holding, 0; 30011 is input, 10." required:"true" min:"0" max:"65535"`
	Type    string       `yaml:"type" doc:"How registers are to be read; not for coil and discrete." default:"uint16" oneof:"uint16|int16|uint32|int32|uint64|int64|float32|float64|text"`
	Length  int          `yaml:"length" doc:"Registers that a text has, two letters each." min:"1" max:"60"`
	Order   string       `yaml:"order" doc:"As the unit's own, for this value alone." oneof:"ABCD|CDAB|BADC|DCBA"`
	Bit     *int         `yaml:"bit" doc:"One bit of the value, 0 being the lowest: gives true or false." min:"0" max:"63"`
	Scale   float64      `yaml:"scale" doc:"The value is multiplied by this." default:"1"`
	Offset  float64      `yaml:"offset" doc:"Then this is added." default:"0"`
	Unit    string       `yaml:"unit" doc:"Unit of the reading, a UCUM or SenML code such as Cel, V, W, kWh." example:"Cel"`
	Missing *uint64      `yaml:"missing" doc:"What the register holds if there is no value, before scaling and sign: then there is no reading." example:"0x8000"`
	Write   *WriteConfig `yaml:"write" doc:"Lets commands write it; only for holding and coil."`
}

// WriteConfig is how a value can be written.
type WriteConfig struct {
	Min      *float64 `yaml:"min" doc:"Least value, in the unit of the reading."`
	Max      *float64 `yaml:"max" doc:"Highest value, in the unit of the reading."`
	Multiple bool     `yaml:"multiple" doc:"True for units that take even a single register by function 16 only." default:"false"`
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtUnit(c.Bus, c.Unit)} }

var tables = map[string]modbus.Table{
	"coil": modbus.Coils, "discrete": modbus.Discrete, "holding": modbus.Holding, "input": modbus.Input,
}

// Validate names every field at fault.
func (c Config) Validate() error {
	var errs []error
	writable, seen := make(map[string]RegisterConfig), make(map[string]bool)
	if len(c.Registers) == 0 {
		errs = append(errs, &gateway.FieldError{Field: "registers", Problem: "is empty; want at least one"})
	}
	for i, r := range c.Registers {
		place := fmt.Sprintf("registers[%d]", i)
		if seen[r.Name] {
			errs = append(errs, &gateway.FieldError{Field: place + ".name", Problem: fmt.Sprintf("%q is the name of another register, too", r.Name)})
		}
		seen[r.Name] = true
		if r.Write != nil {
			writable[r.Name] = r
		}
		for _, fault := range r.faults() {
			fault.Field = place + "." + fault.Field
			errs = append(errs, fault)
		}
	}
	for name, value := range c.Safe {
		r, ok := writable[name]
		if problem := r.safeFault(value); !ok {
			errs = append(errs, &gateway.FieldError{Field: "safe." + name, Problem: "is no register with write"})
		} else if problem != "" {
			errs = append(errs, &gateway.FieldError{Field: "safe." + name, Problem: problem})
		}
	}
	return errors.Join(errs...)
}

// safeFault says why a value cannot be that of the safe state; empty if it can.
func (r RegisterConfig) safeFault(value float64) string {
	if w := r.Write; w != nil && (w.Min != nil && value < *w.Min || w.Max != nil && value > *w.Max) {
		return "is beyond the min and max of its register"
	}
	if tables[r.Table].Bits() || r.Scale == 0 {
		return ""
	}
	if n := (value - r.Offset) / r.Scale; !r.holds(n) {
		return fmt.Sprintf("%v would be %v in the register, which does not fit into %s", value, n, r.Type)
	}
	return ""
}

// holds tells whether the registers can have a number.
func (r RegisterConfig) holds(n float64) bool {
	_, err := r.raw(n)
	return err == nil && !math.IsNaN(n)
}

var argumentShape = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// faultf is a fault at a field of a register.
func faultf(field, format string, args ...any) *gateway.FieldError {
	return &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

func (r RegisterConfig) faults() []*gateway.FieldError {
	if tables[r.Table].Bits() {
		if r.Type != "uint16" || r.Bit != nil || r.Scale != 1 || r.Offset != 0 || r.Unit != "" || r.Missing != nil {
			return []*gateway.FieldError{faultf("table", "%s has bits; want none of type, bit, scale, offset, unit and missing", r.Table)}
		}
		return r.Write.faults(r)
	}
	return append(r.valueFaults(), r.Write.faults(r)...)
}

// valueFaults are those of what is made of registers.
func (r RegisterConfig) valueFaults() (faults []*gateway.FieldError) {
	words := r.words()
	if r.Address+words > 1<<16 {
		faults = append(faults, faultf("address", "a value of %d registers does not fit there; want at most %d", words, 1<<16-words))
	}
	if (r.Type == "text") != (r.Length > 0) {
		faults = append(faults, faultf("length", "want it with type text, and only there"))
	}
	if !r.isNumber() && (r.Scale != 1 || r.Offset != 0 || r.Unit != "") {
		faults = append(faults, faultf("scale", "only numbers have scale, offset and unit"))
	}
	if r.Scale == 0 {
		faults = append(faults, faultf("scale", "0 makes every value the same"))
	}
	if r.Bit != nil && (r.Type == "text" || r.Type == "float32" || r.Type == "float64" || *r.Bit >= 16*words) {
		faults = append(faults, faultf("bit", "%d is none of the bits of %s; want 0 to %d of an integer", *r.Bit, r.Type, 16*words-1))
	}
	return faults
}

// faults are those of how a register is written; none if it is not.
func (w *WriteConfig) faults(r RegisterConfig) []*gateway.FieldError {
	if w == nil {
		return nil
	}
	var fault *gateway.FieldError
	switch {
	case r.Table != "holding" && r.Table != "coil":
		fault = faultf("write", "%s cannot be written; want holding or coil", r.Table)
	case r.Table == "holding" && !r.isNumber():
		fault = faultf("write", "a text or a single bit of a register cannot be written")
	case !argumentShape.MatchString(r.Name):
		fault = faultf("write", "%q is to be the name of an argument; want a name without a dot", r.Name)
	case r.Table == "coil" && *w != (WriteConfig{}):
		fault = faultf("write", "a coil has neither min nor max nor multiple; want {}")
	case w.Min != nil && w.Max != nil && *w.Min > *w.Max:
		fault = faultf("write.min", "is above max")
	default:
		return nil
	}
	return []*gateway.FieldError{fault}
}

// isNumber tells whether the registers are read as one number.
func (r RegisterConfig) isNumber() bool { return r.Type != "text" && r.Bit == nil }

// words is how many registers the value takes; 1 for a bit.
func (r RegisterConfig) words() int {
	switch r.Type {
	case "uint32", "int32", "float32":
		return 2
	case "uint64", "int64", "float64":
		return 4
	case "text":
		return r.Length
	default:
		return 1
	}
}
