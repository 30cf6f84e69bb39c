package modbus

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/fieldpost/fieldpost/gateway"
)

// arrange brings the bytes of a value from the order of the unit into ABCD, or
// back: each order is its own inverse.
func arrange(data []byte, order string) []byte {
	out := append([]byte(nil), data...)
	words := len(out) / 2
	if order == "CDAB" || order == "DCBA" { // low word first
		for i := range words / 2 {
			j := words - 1 - i
			out[2*i], out[2*j] = out[2*j], out[2*i]
			out[2*i+1], out[2*j+1] = out[2*j+1], out[2*i+1]
		}
	}
	if order == "BADC" || order == "DCBA" { // low byte first within a word
		for i := range words {
			out[2*i], out[2*i+1] = out[2*i+1], out[2*i]
		}
	}
	return out
}

// value makes a reading's value of the registers of one value, in ABCD. ok is
// false if the unit says that there is none.
func (r RegisterConfig) value(data []byte) (v gateway.Value, ok bool, err error) {
	if r.Type == "text" {
		text, err := text(data)
		return gateway.Text(text), err == nil, err
	}
	raw := uint64(0)
	for _, b := range data {
		raw = raw<<8 | uint64(b)
	}
	switch {
	case r.Missing != nil && raw == *r.Missing:
		return v, false, nil
	case r.Bit != nil:
		return gateway.Bool(raw>>*r.Bit&1 == 1), true, nil
	}
	n := r.number(raw)
	n = n*r.Scale + r.Offset
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return v, false, fmt.Errorf("the registers % x are no number: %w", data, gateway.ErrInvalid)
	}
	return gateway.Number(n), true, nil
}

func (r RegisterConfig) number(raw uint64) float64 {
	switch r.Type {
	case "int16":
		return float64(int16(raw)) //nolint:gosec // the sign is meant
	case "int32":
		return float64(int32(raw)) //nolint:gosec // the sign is meant
	case "int64":
		return float64(int64(raw)) //nolint:gosec // the sign is meant
	case "float32":
		return float64(math.Float32frombits(uint32(raw))) //nolint:gosec // it has two registers
	case "float64":
		return math.Float64frombits(raw)
	default:
		return float64(raw)
	}
}

// text ends at the first zero; spaces at its end are filling.
func text(data []byte) (string, error) {
	s, _, _ := strings.Cut(string(data), "\x00")
	s = strings.TrimRight(s, " ")
	for _, c := range s {
		if c > unicode.MaxASCII || c < ' ' {
			return "", fmt.Errorf("the registers % x are no text: %w", data, gateway.ErrInvalid)
		}
	}
	return s, nil
}

// registers makes what is written of a value in the unit of the reading.
func (r RegisterConfig) registers(value float64, order string) ([]uint16, error) {
	raw, err := r.raw((value - r.Offset) / r.Scale)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 8)
	binary.BigEndian.PutUint64(data, raw)
	data = arrange(data[8-2*r.words():], order)
	values := make([]uint16, r.words())
	for i := range values {
		values[i] = binary.BigEndian.Uint16(data[2*i:])
	}
	return values, nil
}

// raw is the content of the registers for a number, in the low bits.
func (r RegisterConfig) raw(n float64) (uint64, error) {
	switch r.Type {
	case "float32":
		if math.Abs(n) > math.MaxFloat32 {
			return 0, beyond(n, r.Type)
		}
		return uint64(math.Float32bits(float32(n))), nil
	case "float64":
		return math.Float64bits(n), nil
	}
	n = math.Round(n)
	bits := 16 * r.words()
	if strings.HasPrefix(r.Type, "u") {
		if n < 0 || n >= math.Ldexp(1, bits) {
			return 0, beyond(n, r.Type)
		}
		return uint64(n), nil
	}
	if limit := math.Ldexp(1, bits-1); n < -limit || n >= limit {
		return 0, beyond(n, r.Type)
	}
	return uint64(int64(n)), nil //nolint:gosec // the sign is meant
}

func beyond(n float64, kind string) error {
	return fmt.Errorf("%v does not fit into %s: %w", n, kind, gateway.ErrDenied)
}
