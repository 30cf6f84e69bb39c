package pipeline

import (
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestValidRange(t *testing.T) {
	low, high := -40.0, 85.0
	v := validator{
		"both": {Min: &low, Max: &high, Outside: "bad"},
		"min":  {Min: &low, Outside: "bad"},
		"max":  {Max: &high, Outside: "drop"},
	}
	for _, c := range []struct {
		name          string
		value         gateway.Value
		outside, drop bool
	}{
		{"both", gateway.Number(-40), false, false},
		{"both", gateway.Number(85), false, false},
		{"both", gateway.Number(-40.01), true, false},
		{"both", gateway.Number(85.01), true, false},
		{"min", gateway.Number(1e9), false, false},
		{"min", gateway.Number(-41), true, false},
		{"max", gateway.Number(-1e9), false, false},
		{"max", gateway.Number(86), true, true},
		{"max", gateway.Text("86"), false, false},
		{"max", gateway.Bool(true), false, false},
		{"other", gateway.Number(1e9), false, false},
	} {
		r := gateway.Reading{Name: c.name, Value: c.value, Quality: gateway.Uncertain}
		outside, drop := v.apply(&r)
		if outside != c.outside || drop != c.drop || (r.Quality == gateway.Bad) != c.outside {
			t.Errorf("%s = %v: outside %v, drop %v, quality %s", c.name, c.value, outside, drop, r.Quality)
		}
	}
}
