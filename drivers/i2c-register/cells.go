package i2cregister

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/fieldpost/fieldpost/gateway"
)

// full has the bits of so many bytes.
func full(bytes int) uint32 { return uint32(1<<(8*max(0, min(bytes, 4))) - 1) }

// number puts bytes together.
func (c Cells) number(b []byte) uint32 {
	var n uint32
	for i := range b {
		if c.Order == "little" {
			n = n<<8 | uint32(b[len(b)-1-i])
		} else {
			n = n<<8 | uint32(b[i])
		}
	}
	return n
}

// bytes takes a number apart.
func (c Cells) bytes(n uint32) []byte {
	b := make([]byte, c.Bytes)
	for i := range b {
		if c.Order == "little" {
			b[i] = byte(n >> (8 * i))
		} else {
			b[i] = byte(n >> (8 * (len(b) - 1 - i)))
		}
	}
	return b
}

// decode makes a reading of what is in the register. The error comes beside a
// bad reading.
func (v Value) decode(b []byte) (gateway.Reading, error) {
	n := v.number(b)
	r := gateway.Reading{Name: v.Name}
	if v.Bit != nil {
		r.Value = gateway.Bool(n>>*v.Bit&1 == 1 != v.Invert)
		return r, nil
	}
	x := v.measure(n)
	if !finite(x) {
		r.Quality = gateway.Bad
		return r, fmt.Errorf("%s: scaled, %#x is no number: %w", v.Name, n, gateway.ErrInvalid)
	}
	r.Value, r.Unit = gateway.Number(x), v.Unit
	if v.Min != nil && x < *v.Min || v.Max != nil && x > *v.Max {
		r.Quality = gateway.Bad
		return r, fmt.Errorf("%s: %v %s cannot be true (register %#x has %#x): %w", v.Name, x, v.Unit, v.Register, n, gateway.ErrInvalid)
	}
	return r, nil
}

// measure is the quantity that a number stands for.
func (v Value) measure(n uint32) float64 {
	n = n & v.Mask >> v.Shift
	x := float64(n)
	if width := bits.Len32(v.Mask & full(v.Bytes) >> v.Shift); v.Signed && n>>(width-1) == 1 {
		x -= math.Pow(2, float64(width))
	}
	return x*v.Scale + v.Offset
}

// encode is what is written for a value, rounded to what the register can hold.
func (o Output) encode(value float64) ([]byte, error) {
	n := math.Round((value - o.Offset) / o.Scale)
	least, most := 0.0, float64(full(o.Bytes))
	if o.Signed {
		half := math.Pow(2, float64(8*o.Bytes-1))
		least, most = -half, half-1
	}
	if !(n >= least && n <= most) { // so that NaN is refused
		return nil, fmt.Errorf("%v is %v in the register, which holds %v to %v: %w", value, n, least, most, gateway.ErrDenied)
	}
	return o.bytes(uint32(int64(n))), nil //nolint:gosec // two's complement
}
