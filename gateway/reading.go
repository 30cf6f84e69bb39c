package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// DeviceID names a device as the config does, for example "air" or "pump".
type DeviceID string

// Quality says how far a reading can be trusted.
type Quality string

const (
	// Good is a value that the sensor delivered and that is plausible.
	Good Quality = "good"
	// Uncertain is a value that may be off, for example during warm-up.
	Uncertain Quality = "uncertain"
	// Bad is a value that must not be used, kept for diagnosis only.
	Bad Quality = "bad"
)

// Reading is one value of one quantity of one device at one moment.
type Reading struct {
	// Device is filled in by the pipeline if the driver leaves it empty.
	Device DeviceID
	// Name of the quantity within the device, for example "temperature".
	Name  string
	Value Value
	// Unit is a UCUM code as registered for SenML, for example "Cel", "%RH",
	// "By"; empty for plain counts and states.
	Unit string
	// Time of measurement. The pipeline fills it in if the driver leaves it zero: the
	// reading is of now then, or as old as Age says.
	Time time.Time
	Age  time.Duration
	// Quality counts as Good if the driver leaves it empty.
	Quality Quality
	// Seq is the number of the reading with a device that counts its own, from 1 at
	// each of its resets; 0: it does not, or this one stands for several.
	Seq uint64
}

// Value is a number, a boolean or a text. The zero Value is the number 0.
type Value struct {
	kind   valueKind
	number float64
	text   string
}

type valueKind uint8

const (
	numberKind valueKind = iota
	boolKind
	textKind
)

// Number makes a numeric value.
func Number(f float64) Value { return Value{kind: numberKind, number: f} }

// Text makes a textual value.
func Text(s string) Value { return Value{kind: textKind, text: s} }

// Bool makes a boolean value.
func Bool(b bool) Value {
	v := Value{kind: boolKind}
	if b {
		v.number = 1
	}
	return v
}

// Number returns the number, and false for a text or boolean.
func (v Value) Number() (float64, bool) { return v.number, v.kind == numberKind }

// Bool returns the boolean, and false for any other kind.
func (v Value) Bool() (value, ok bool) { return v.number != 0, v.kind == boolKind }

// Text returns the text, and false for any other kind.
func (v Value) Text() (string, bool) { return v.text, v.kind == textKind }

// String formats the value for people.
func (v Value) String() string {
	switch v.kind {
	case boolKind:
		return strconv.FormatBool(v.number != 0)
	case textKind:
		return v.text
	default:
		return strconv.FormatFloat(v.number, 'f', -1, 64)
	}
}

// MarshalJSON writes the value as a JSON number, boolean or string. NaN and
// the infinities, which JSON lacks, are an error.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case boolKind:
		return json.Marshal(v.number != 0)
	case textKind:
		return json.Marshal(v.text)
	default:
		if math.IsNaN(v.number) || math.IsInf(v.number, 0) {
			return nil, fmt.Errorf("the number %v has no JSON form: %w", v.number, ErrInvalid)
		}
		return json.Marshal(v.number)
	}
}

// UnmarshalJSON accepts a JSON number, boolean or string.
func (v *Value) UnmarshalJSON(data []byte) error {
	var x any
	if err := json.Unmarshal(data, &x); err != nil {
		return err
	}
	switch x := x.(type) {
	case float64:
		*v = Number(x)
	case bool:
		*v = Bool(x)
	case string:
		*v = Text(x)
	default:
		return fmt.Errorf("a value is a number, true, false or a string, not %.40s: %w", data, ErrInvalid)
	}
	return nil
}
