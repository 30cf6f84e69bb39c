package command_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
)

func TestCheck(t *testing.T) {
	many := map[string]any{}
	for i := range 65 {
		many[fmt.Sprint("a", i)] = true
	}
	tests := []struct {
		name   string
		change func(*gateway.Command)
		fault  string // empty: allowed
	}{
		{"plain", func(*gateway.Command) {}, ""},
		{"all kinds of arguments", func(c *gateway.Command) { c.Args = map[string]any{"a": true, "b": 1.5, "c": "grün"} }, ""},
		{"id of 128 bytes", func(c *gateway.Command) { c.ID = strings.Repeat("x", 128) }, ""},
		{"id of 129 bytes", func(c *gateway.Command) { c.ID = strings.Repeat("x", 129) }, "id"},
		{"no id", func(c *gateway.Command) { c.ID = "" }, "id"},
		{"id with a line end", func(c *gateway.Command) { c.ID = "a\nb" }, "id"},
		{"id not UTF-8", func(c *gateway.Command) { c.ID = "a\xff" }, "id"},
		{"no device", func(c *gateway.Command) { c.Device = "" }, "device"},
		{"device with a space", func(c *gateway.Command) { c.Device = "a b" }, "device"},
		{"long device", func(c *gateway.Command) { c.Device = gateway.DeviceID(strings.Repeat("x", 65)) }, "device"},
		{"no action", func(c *gateway.Command) { c.Action = "" }, "action"},
		{"action with NUL", func(c *gateway.Command) { c.Action = "a\x00" }, "action"},
		{"nested argument", func(c *gateway.Command) { c.Args = map[string]any{"a": map[string]any{}} }, "argument a"},
		{"null argument", func(c *gateway.Command) { c.Args = map[string]any{"a": nil} }, "argument a"},
		{"int argument", func(c *gateway.Command) { c.Args = map[string]any{"a": 1} }, "argument a"},
		{"NaN", func(c *gateway.Command) { c.Args = map[string]any{"a": math.NaN()} }, "argument a"},
		{"infinity", func(c *gateway.Command) { c.Args = map[string]any{"a": math.Inf(-1)} }, "argument a"},
		{"text not UTF-8", func(c *gateway.Command) { c.Args = map[string]any{"a": "\xff"} }, "argument a"},
		{"argument without a name", func(c *gateway.Command) { c.Args = map[string]any{"": true} }, "argument"},
		{"many arguments", func(c *gateway.Command) { c.Args = many }, "65 arguments"},
		{"long arguments", func(c *gateway.Command) { c.Args = map[string]any{"a": strings.Repeat("x", 64<<10)} }, "65537 bytes"},
		{"year 10000", func(c *gateway.Command) { c.Expires = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "expires"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := pulse("c1")
			tt.change(&cmd)
			err := command.Check(cmd)
			switch {
			case tt.fault == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), tt.fault):
				t.Errorf("got %v, want %q", err, tt.fault)
			}
		})
	}
}

// FuzzCheck: what passes can be journalled, read back as it was, and answered.
func FuzzCheck(f *testing.F) {
	f.Add("c1", "pump", "pulse", "level", "high", 1.5, int64(1767225600))
	f.Add("", "a b", "a\x00", "\xff", "\xff", math.Inf(1), int64(math.MaxInt64))
	f.Add("sha256-00", "fan", "set", "on", "", math.Copysign(0, -1), int64(0))
	f.Fuzz(func(t *testing.T, id, device, action, name, text string, number float64, expires int64) {
		cmd := gateway.Command{
			ID: id, Device: gateway.DeviceID(device), Action: action,
			Args:    map[string]any{name: text, name + "2": number},
			Expires: time.Unix(expires, 0).UTC(),
		}
		err := command.Check(cmd)
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		data, err := json.Marshal(gateway.Entry{Command: cmd})
		if err != nil {
			t.Fatalf("accepted, but cannot be journalled: %v", err)
		}
		var back gateway.Entry
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		got := back.Command
		if got.ID != id || got.Device != cmd.Device || got.Action != action || !got.Expires.Equal(cmd.Expires) ||
			got.Args[name] != text || got.Args[name+"2"] != number {
			t.Fatalf("comes back as %+v", got)
		}
	})
}
