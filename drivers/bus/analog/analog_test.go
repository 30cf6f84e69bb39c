package analog_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus/analog"
	"github.com/fieldpost/fieldpost/gateway"
)

func loop(name string) analog.Input {
	return analog.Input{Name: name, Divider: 1, Shunt: 150, Scale: &analog.Scale{From: []float64{4, 20}, To: []float64{0, 1000}, Unit: "hPa"}}
}

func TestReadings(t *testing.T) {
	falling := loop("level")
	falling.Scale = &analog.Scale{From: []float64{20, 4}, To: []float64{0, 3}, Unit: "m"}
	for _, c := range []struct {
		in    analog.Input
		volts float64
		want  string
		fault string
	}{
		{analog.Input{Divider: 1}, 1.25, "voltage.0 1.25 V ", ""},
		{analog.Input{Divider: 11}, 1.1, "voltage.0 12.1 V ", ""},
		{analog.Input{Divider: 1, Shunt: 250}, 1, "current.0 4 mA ", ""},
		{analog.Input{Name: "humidity", Divider: 3, Scale: &analog.Scale{From: []float64{0, 10}, To: []float64{0, 100}, Unit: "%RH"}}, 1.5, "humidity 45 %RH ", ""},
		{loop("pressure"), 0.012 * 150, "pressure 500 hPa good", ""},
		{loop("pressure"), 0.004 * 150, "pressure 0 hPa good", ""},
		{loop("pressure"), 0.0037 * 150, "pressure -18.75 hPa uncertain", ""},
		{loop("pressure"), 0.0206 * 150, "pressure 1037.5 hPa uncertain", ""},
		{loop("pressure"), 0.00355 * 150, "pressure -28.125 hPa bad", "3.55 mA in a loop of 4 to 20: a wire is broken"},
		{loop("pressure"), 0, "pressure -250 hPa bad", "pressure: 0.00 mA"},
		{loop("pressure"), 0.0215 * 150, "pressure 1093.75 hPa bad", "21.50 mA in a loop of 4 to 20: a short circuit"},
		{falling, 0.02 * 150, "level 0 m good", ""},
		{falling, 0.004 * 150, "level 3 m good", ""},
	} {
		r, err := c.in.Reading("0", c.volts)
		number, _ := r.Value.Number()
		if got := fmt.Sprintf("%s %v %s %s", r.Name, math.Round(number*1e6)/1e6, r.Unit, r.Quality); got != c.want {
			t.Errorf("%v V: %s, want %s", c.volts, got, c.want)
		}
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%v V: %v", c.volts, err)
		case c.fault != "" && (!errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%v V: %v, want %q", c.volts, err, c.fault)
		}
	}
	if _, err := (analog.Input{Divider: 10}).Reading("0", math.Inf(1)); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("no number: %v", err)
	}
}

func TestMost(t *testing.T) {
	if got := loop("x").Most(); math.Abs(got-3.15) > 1e-9 {
		t.Errorf("a loop with 150 Ohm needs %v V", got)
	}
	if got := (analog.Input{Divider: 1, Shunt: 150}).Most(); got != 0 {
		t.Errorf("without a loop: %v", got)
	}
}

func TestCheck(t *testing.T) {
	for want, s := range map[string]*analog.Scale{
		"":                       {From: []float64{4, 20}, To: []float64{10, 0}},
		"inputs[2].scale.from: ": {From: []float64{4}, To: []float64{0, 1}},
		"inputs[2].scale.from:":  {From: []float64{4, 4}, To: []float64{0, 1}},
		"inputs[2].scale.to: ":   {From: []float64{4, 20}, To: []float64{0, 1, 2}},
		"inputs[2].scale.to:":    {From: []float64{4, 20}, To: []float64{1, 1}},
	} {
		err := analog.Input{Scale: s}.Check("inputs[2]")
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
	if err := (analog.Input{}).Check("inputs[0]"); err != nil {
		t.Error(err)
	}
}
