package link

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// Kind is the type of a value.
type Kind uint8

// The types of values.
const (
	None  Kind = iota // could not be measured; an argument that is left out
	Bool              // true or false
	Int               // 32 bits, signed
	Float             // 32 bits, never infinite or NaN
	Text              // UTF-8, at most 255 bytes
)

// kindNames are the types as the descriptor writes them.
var kindNames = [...]string{None: "none", Bool: "bool", Int: "int", Float: "float", Text: "text"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "type " + strconv.Itoa(int(k))
}

// Quality says how far a value can be trusted.
type Quality uint8

// The qualities.
const (
	Good Quality = iota
	Uncertain
	Bad
)

// Value is a reading's value, an argument or a setting. Of the fields behind
// Quality the one that Kind names holds it.
type Value struct {
	Kind    Kind
	Quality Quality
	Bool    bool
	Int     int32
	Float   float32
	Text    string
}

// BoolValue makes a boolean value of good quality.
func BoolValue(b bool) Value { return Value{Kind: Bool, Bool: b} }

// IntValue makes an integer of good quality.
func IntValue(n int32) Value { return Value{Kind: Int, Int: n} }

// FloatValue makes a number of good quality. It must be finite.
func FloatValue(f float32) Value { return Value{Kind: Float, Float: f} }

// TextValue makes a text of good quality: UTF-8, at most 255 bytes.
func TextValue(s string) Value { return Value{Kind: Text, Text: s} }

// String formats the value for people.
func (v Value) String() string {
	switch v.Kind {
	case Bool:
		return strconv.FormatBool(v.Bool)
	case Int:
		return strconv.Itoa(int(v.Int))
	case Float:
		return strconv.FormatFloat(float64(v.Float), 'g', -1, 32)
	case Text:
		return v.Text
	default:
		return "none"
	}
}

// fits says whether the value can be sent: a peer would refuse anything else.
func (v Value) fits() bool {
	return v.Kind <= Text && v.Quality <= Bad &&
		(v.Kind != Float || finite(v.Float)) &&
		(v.Kind != Text || len(v.Text) <= math.MaxUint8 && utf8.ValidString(v.Text))
}

func finite(f float32) bool { return f-f == 0 } // NaN for infinities, too

// Append appends the value as it is sent.
func (v Value) Append(dst []byte) []byte {
	dst = append(dst, byte(v.Kind)|byte(v.Quality)<<4)
	switch v.Kind {
	case Bool:
		if v.Bool {
			return append(dst, 1)
		}
		return append(dst, 0)
	case Int:
		return le.AppendUint32(dst, uint32(v.Int))
	case Float:
		return le.AppendUint32(dst, math.Float32bits(v.Float))
	case Text:
		return append(append(dst, byte(len(v.Text))), v.Text...)
	}
	return dst
}

// cutValue takes a value off the front of b. It says false of a malformed one.
func cutValue(b []byte) (v Value, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&0xC0 != 0 {
		return Value{}, nil, false
	}
	v = Value{Kind: Kind(b[0] & 0x0F), Quality: Quality(b[0] >> 4)}
	n, ok := v.read(b[1:])
	return v, b[1+n:], ok && v.Quality <= Bad
}

// read fills in the data of a value by its kind, and says how long they are.
func (v *Value) read(b []byte) (n int, ok bool) {
	switch {
	case v.Kind == None:
		return 0, true
	case v.Kind == Bool && len(b) >= 1:
		v.Bool = b[0] == 1
		return 1, b[0] <= 1
	case v.Kind == Int && len(b) >= 4:
		v.Int = int32(le.Uint32(b))
		return 4, true
	case v.Kind == Float && len(b) >= 4:
		v.Float = math.Float32frombits(le.Uint32(b))
		return 4, finite(v.Float)
	case v.Kind == Text && len(b) >= 1 && len(b) > int(b[0]):
		text := b[1 : 1+int(b[0])]
		v.Text = string(text)
		return 1 + len(text), utf8.Valid(text)
	default:
		return 0, false
	}
}

// DecodeValues takes all of b for values. It says false of malformed ones.
func DecodeValues(b []byte) ([]Value, bool) {
	var values []Value
	for len(b) > 0 {
		v, rest, ok := cutValue(b)
		if !ok {
			return nil, false
		}
		values, b = append(values, v), rest
	}
	return values, true
}
