package pipeline

import (
	"fmt"
	"sort"
	"strconv"

	"github.com/fieldpost/fieldpost/gateway"
)

// Calibration corrects a number: value × scale + offset, or by a table. Its
// result has the unit, if one is given.
type Calibration struct {
	Scale  float64     `yaml:"scale" doc:"What the value is multiplied by." default:"1"`
	Offset float64     `yaml:"offset" doc:"What is then added, in the unit of the result." default:"0" example:"-0.4"`
	Table  [][]float64 `yaml:"table" doc:"In place of scale and offset: pairs of a raw and the true value, the raw ones growing. Between two pairs, and beyond the last, it goes straight on."`
	Unit   string      `yaml:"unit" doc:"Unit of the result; left out: that of the raw value." example:"m"`
}

// maxTable bounds the pairs of a table.
const maxTable = 1000

func (c *Calibration) check(f *faults, field string) {
	switch {
	case c.Table != nil && (c.Scale != 1 || c.Offset != 0):
		f.add(field+".table", "stands beside scale or offset; want only one way to calibrate")
	case c.Table != nil:
		c.checkTable(f, field)
	case c.Scale == 0:
		f.add(field+".scale", "0 would make every value the same; want another number")
	case c.Scale == 1 && c.Offset == 0 && c.Unit == "":
		f.add(field, "changes nothing; want scale, offset, table or unit")
	}
}

func (c *Calibration) checkTable(f *faults, field string) {
	if n := len(c.Table); n < 2 || n > maxTable {
		f.add(field+".table", "has %d pairs; want 2 to %d", n, maxTable)
	}
	for i, pair := range c.Table {
		place := fmt.Sprintf("%s.table[%d]", field, i)
		switch {
		case len(pair) != 2:
			f.add(place, "%v is no pair; want [raw, true]", pair)
			return
		case i > 0 && pair[0] <= c.Table[i-1][0]:
			f.add(place, "raw %v comes after %v; want raw values that grow", pair[0], c.Table[i-1][0])
		}
	}
}

// calibrator is the first step of a Chain.
type calibrator map[string]Calibration

func (c calibrator) apply(r *gateway.Reading) {
	raw, isNumber := r.Value.Number()
	if !isNumber {
		return
	}
	how, found := c[r.Name]
	if !found {
		return
	}
	r.Value = gateway.Number(neat(how.of(raw)))
	if how.Unit != "" {
		r.Unit = how.Unit
	}
}

// of is the true value.
func (c *Calibration) of(raw float64) float64 {
	if c.Table == nil {
		return raw*c.Scale + c.Offset
	}
	// The pair at the end of the piece that raw is on, or that goes on to it.
	end := sort.Search(len(c.Table)-2, func(i int) bool { return raw < c.Table[i+1][0] }) + 1
	from, to := c.Table[end-1], c.Table[end]
	return from[1] + (to[1]-from[1])*((raw-from[0])/(to[0]-from[0]))
}

// neat is x with 15 digits, so that 18.2354 does not go out as
// 18.235400000000002: what is beyond is the rounding of the calculation.
func neat(x float64) float64 {
	var buffer [32]byte
	y, err := strconv.ParseFloat(string(strconv.AppendFloat(buffer[:0], x, 'e', 14, 64)), 64)
	if err != nil { // rounded up beyond the greatest number
		return x
	}
	return y
}
