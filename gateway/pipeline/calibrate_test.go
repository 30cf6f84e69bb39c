package pipeline

import (
	"math"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestCalibration(t *testing.T) {
	line := Calibration{Scale: 1, Table: [][]float64{{4, 0}, {12, 8}, {20, 0}}}
	for _, c := range []struct {
		name      string
		how       Calibration
		raw, want float64
	}{
		{"offset", Calibration{Scale: 1, Offset: -0.5}, 21, 20.5},
		{"scale before offset", Calibration{Scale: 2, Offset: 1}, 3, 7},
		{"first pair", line, 4, 0},
		{"on the first piece", line, 8, 4},
		{"at a bend", line, 12, 8},
		{"on the second piece", line, 16, 4},
		{"last pair", line, 20, 0},
		{"below all", line, 2, -2},
		{"above all", line, 24, -4},
		{"two pairs", Calibration{Scale: 1, Table: [][]float64{{0, 1}, {10, 0}}}, 20, -1},
	} {
		r := gateway.Reading{Name: "q", Value: gateway.Number(c.raw), Unit: "mA"}
		calibrator{"q": c.how}.apply(&r)
		if got, _ := r.Value.Number(); got != c.want || r.Unit != "mA" {
			t.Errorf("%s: %v becomes %v %s, want %v", c.name, c.raw, got, r.Unit, c.want)
		}
	}
}

// TestCalibrationLeavesOthersAlone: other quantities, and what is no number.
func TestCalibrationLeavesOthersAlone(t *testing.T) {
	c := calibrator{"level": {Scale: 2, Unit: "m"}}
	for _, r := range []gateway.Reading{
		{Name: "flow", Value: gateway.Number(3), Unit: "m3/h"},
		{Name: "level", Value: gateway.Bool(true)},
		{Name: "level", Value: gateway.Text("high")},
	} {
		got := r
		if c.apply(&got); got != r {
			t.Errorf("%v becomes %v", r, got)
		}
	}
	r := gateway.Reading{Name: "level", Value: gateway.Number(3), Unit: "V"}
	if c.apply(&r); r.Value != gateway.Number(6) || r.Unit != "m" {
		t.Errorf("got %v, want 6 m", r)
	}
}

func TestNeat(t *testing.T) {
	for _, c := range []struct{ x, want float64 }{
		{18.27*1.02 - 0.4, 18.2354},
		{0.1 + 0.2, 0.3},
		{-1.0 / 3, -0.333333333333333},
		{123456789012345, 123456789012345},
		{0, 0},
		{math.MaxFloat64, math.MaxFloat64},
		{math.Inf(1), math.Inf(1)},
	} {
		if got := neat(c.x); got != c.want {
			t.Errorf("%v becomes %v, want %v", c.x, got, c.want)
		}
	}
	if !math.IsNaN(neat(math.NaN())) {
		t.Error("NaN becomes a number")
	}
}
