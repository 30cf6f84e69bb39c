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
	{Name: "note", Type: gateway.ArgText, MaxBytes: 8},
	{Name: "speed", Type: gateway.ArgNumber},
}}

func TestActionCheck(t *testing.T) {
	for _, args := range []map[string]any{
		{"to": 0.0, "note": "12345678", "speed": -1e300, "steps": float64(1<<53 - 1)}, {"to": 200.0, "steps": 3.0, "hold": true, "mode": "soft"}, {"to": 17.5, "hold": false},
	} {
		if err := move.Check(args); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	for want, args := range map[string]map[string]any{
		"to: missing, want number in mm ≥ 0 ≤ 200":                        {},
		"to: 200.1 is not allowed":                                        {"to": 200.1},
		"to: -1 is not allowed":                                           {"to": -1.0},
		"to: NaN is not allowed":                                          {"to": math.NaN()},
		"to: +Inf is not allowed":                                         {"to": math.Inf(1)},
		"to: far is not allowed":                                          {"to": "far"},
		"to: <nil> is not allowed":                                        {"to": nil},
		"to: 3 is not allowed":                                            {"to": 3}, // an int is no JSON value
		"to: [1] is not allowed":                                          {"to": []any{1.0}},
		"to: true is not allowed":                                         {"to": true},
		"speed: -Inf is not allowed":                                      {"to": 1.0, "speed": math.Inf(-1)},
		"steps: 1.5 is not allowed, want integer ≥ 1":                     {"to": 1.0, "steps": 1.5},
		"steps: 9.007199254740992e+15 is not allowed":                     {"to": 1.0, "steps": float64(1 << 53)},
		"steps: NaN is not allowed":                                       {"to": 1.0, "steps": math.NaN()},
		"hold: 1 is not allowed, want bool":                               {"to": 1.0, "hold": 1.0},
		"hold: true is not allowed":                                       {"to": 1.0, "hold": "true"},
		"mode: x is not allowed, want text of soft, hard":                 {"to": 1.0, "mode": "x"},
		"mode: " + strings.Repeat("y", 80) + "… is not allowed":           {"to": 1.0, "mode": strings.Repeat("y", 1<<16)},
		"note: has 9 bytes, want at most 8":                               {"to": 1.0, "note": "123456789"},
		"note: is not UTF-8":                                              {"to": 1.0, "note": "\xff"},
		"zoom: unknown argument, want to, steps, hold, mode, note, speed": {"to": 1.0, "zoom": 3.0},
	} {
		if err := move.Check(args); !errors.Is(err, gateway.ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %.300v, want %s", args, err, want)
		}
	}
	if err := (gateway.Action{Name: "stop"}).Check(map[string]any{"now": true}); err == nil || !strings.Contains(err.Error(), "now: unknown argument, there are none") {
		t.Errorf("an action without arguments: %v", err)
	}
	err := move.Check(map[string]any{"hold": "x", "zoom": 1.0})
	if want := "move: hold: x is not allowed, want bool; to: missing, want number in mm ≥ 0 ≤ 200; zoom: unknown argument, want to, steps, hold, mode, note, speed: denied"; err == nil || err.Error() != want {
		t.Errorf("all at once: %v\nwant %s", err, want)
	}
}

func TestActionUsage(t *testing.T) {
	for want, a := range map[string]gateway.Action{
		"": {},
		"to=0..200 [steps=1..] [hold=true|false] [mode=soft|hard] [note=TEXT] [speed=NUMBER]": move,
		"n=INTEGER m=..1000000": {Args: []gateway.Arg{
			{Name: "n", Type: gateway.ArgInteger, Required: true}, {Name: "m", Type: gateway.ArgInteger, Required: true, Max: ptr(1e6)},
		}},
	} {
		if got := a.Usage(); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}
