package gateway_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func ptr(f float64) *float64 { return &f }

var move = gateway.Action{Name: "move", Args: []gateway.Arg{
	{Name: "to", Type: gateway.ArgNumber, Unit: "mm", Required: true, Min: ptr(0), Max: ptr(200)},
	{Name: "steps", Type: gateway.ArgInteger, Min: ptr(1)},
	{Name: "hold", Type: gateway.ArgBool},
	{Name: "mode", Type: gateway.ArgText, OneOf: []string{"soft", "hard"}},
}}

func TestActionCheck(t *testing.T) {
	for _, args := range []map[string]any{
		{"to": 0.0}, {"to": 200.0, "steps": 3.0, "hold": true, "mode": "soft"}, {"to": 17.5, "hold": false},
	} {
		if err := move.Check(args); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	for want, args := range map[string]map[string]any{
		"to: missing, want number in mm ≥ 0 ≤ 200":        {},
		"to: 200.1 is not allowed":                        {"to": 200.1},
		"to: -1 is not allowed":                           {"to": -1.0},
		"to: NaN is not allowed":                          {"to": math.NaN()},
		"to: +Inf is not allowed":                         {"to": math.Inf(1)},
		"to: far is not allowed":                          {"to": "far"},
		"steps: 1.5 is not allowed, want integer ≥ 1":     {"to": 1.0, "steps": 1.5},
		"hold: 1 is not allowed, want bool":               {"to": 1.0, "hold": 1.0},
		"mode: x is not allowed, want text of soft, hard": {"to": 1.0, "mode": "x"},
		"speed: unknown argument":                         {"to": 1.0, "speed": 3.0},
	} {
		if err := move.Check(args); !errors.Is(err, gateway.ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
	err := move.Check(map[string]any{"hold": "x", "zoom": 1.0})
	if want := "move: hold: x is not allowed, want bool; to: missing, want number in mm ≥ 0 ≤ 200; zoom: unknown argument: denied"; err == nil || err.Error() != want {
		t.Errorf("all at once: %v\nwant %s", err, want)
	}
}
