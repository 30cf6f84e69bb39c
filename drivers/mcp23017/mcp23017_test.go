package mcp23017

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

var plain = Config{Bus: "i2c-1", Address: 0x20, Pins: []Pin{
	{Pin: "A0", Name: "door", Direction: "in", PullUp: true, Invert: true},
	{Pin: "A1", Name: "button", Direction: "in"},
	{Pin: "B0", Name: "pump", Direction: "out", Safe: "off"},
	{Pin: "B1", Name: "valve", Direction: "out", Invert: true, Safe: "on"},
	{Pin: "B7", Name: "light", Direction: "out", Safe: "keep"},
}}

func opened(t *testing.T, c Config, b i2c.BusCloser) *Dev {
	t.Helper()
	d, err := New(c, bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return b, nil }}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func expander() (*i2csim.Bus, *i2csim.MCP23017) {
	chip := i2csim.NewMCP23017()
	return i2csim.New(map[uint16]i2csim.Chip{0x20: chip}), chip
}

func text(t *testing.T, d *Dev) string {
	t.Helper()
	readings, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range readings {
		fmt.Fprintf(&b, "%s %v ", r.Name, r.Value)
	}
	return strings.TrimSpace(b.String())
}

func do(ctx context.Context, d *Dev, action string, args map[string]any) (map[string]any, error) {
	return d.Do(ctx, gateway.Command{ID: "1", Action: action, Args: args})
}

func set(t *testing.T, d *Dev, pin string, on bool) {
	t.Helper()
	if _, err := do(t.Context(), d, "set", map[string]any{"pin": pin, "on": on}); err != nil {
		t.Fatal(err)
	}
}

// deaf is a chip that does what it is told, while its answer is lost once.
type deaf struct {
	*i2csim.MCP23017
	lost bool
}

func (c *deaf) Tx(w, r []byte) error {
	if err := c.MCP23017.Tx(w, r); err != nil || !c.lost || len(w) < 2 {
		return err
	}
	c.lost = false
	return syscall.EREMOTEIO
}

// TestPulseInDoubt: an output that may have gone on goes off all the same.
func TestPulseInDoubt(t *testing.T) {
	chip := &deaf{MCP23017: i2csim.NewMCP23017()}
	d := opened(t, plain, i2csim.New(map[uint16]i2csim.Chip{0x20: chip}))
	before := chip.Out()
	chip.lost = true
	if _, err := do(t.Context(), d, "pulse", map[string]any{"pin": "light", "ms": 10.0}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if got := chip.Out(); got != before {
		t.Errorf("the outputs are %04x, were %04x", got, before)
	}
}

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New: func(buses *bus.Set) (any, error) { return New(plain, buses) },
		Chips: func() map[uint16]i2csim.Chip {
			return map[uint16]i2csim.Chip{0x20: i2csim.NewMCP23017()}
		},
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x20: i2csim.Registers{0: 0x12}} },
		Names:     []string{"MCP23017"},
	})
}

// TestBytes: levels before directions, and outputs written whole.
func TestBytes(t *testing.T) {
	const was = "ffff00000000000000000000000000000000ffff0000"
	const is = "ff7c0000000000000000000001000000000003fe0000"
	record, err := drivertest.ParseRecord(strings.NewReader(`
i2c-1 0x20 w 00 r ` + was + ` 1ms
i2c-1 0x20 w 0500 r - 1ms
i2c-1 0x20 w 0a00 r - 1ms
i2c-1 0x20 w 140000 r - 1ms
i2c-1 0x20 w 020000 r - 1ms
i2c-1 0x20 w 0c0100 r - 1ms
i2c-1 0x20 w 00ff7c r - 1ms
i2c-1 0x20 w 00 r ` + is + ` 1ms
i2c-1 0x20 w 140001 r - 1ms
i2c-1 0x20 w 00 r ` + strings.Replace(is, "03fe0000", "03fe0001", 1) + ` 1ms
`))
	if err != nil {
		t.Fatal(err)
	}
	replay := drivertest.NewReplay("i2c-1", record)
	d := opened(t, plain, replay)
	set(t, d, "pump", true)
	if got, want := text(t, d), "door false button true pump true valve true light false"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if left := replay.Left(); left != nil {
		t.Errorf("not asked: %v", left)
	}
}

func TestInputsAndOutputs(t *testing.T) {
	b, chip := expander()
	d := opened(t, plain, b)
	chip.In = 0x0002
	if got, want := text(t, d), "door true button true pump false valve true light false"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	readings, _ := d.Read(t.Context())
	drivertest.WantQuantities(t, plain.Quantities(), readings)
	chip.In = 0x0001
	set(t, d, "pump", true)
	set(t, d, "light", true)
	set(t, d, "valve", false)
	if got, want := text(t, d), "door false button false pump true valve false light true"; got != want || chip.Out() != 0x8300 {
		t.Errorf("%s with %04x, want %s", got, chip.Out(), want)
	}
	if err := d.Safe(t.Context()); err != nil || chip.Out() != 0x8000 {
		t.Errorf("safe state: %04x, %v", chip.Out(), err)
	}
}

// TestReopened: a chip that was out of reach keeps its outputs, one that has lost
// its power takes the safe state, of which keep is what it was told.
func TestReopened(t *testing.T) {
	b, chip := expander()
	d := opened(t, plain, b)
	set(t, d, "pump", true)
	set(t, d, "light", true)
	reopen := func(what string, latch uint16) {
		t.Helper()
		if err := errors.Join(d.Close(), d.Open(t.Context())); err != nil || chip.Out() != latch {
			t.Errorf("%s: %04x, want %04x (%v)", what, chip.Out(), latch, err)
		}
	}
	reopen("out of reach", 0x8100)
	chip = i2csim.NewMCP23017()
	b.Plug(0x20, chip)
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "has it lost its power? IODIR is ffff in place of 7cff") {
		t.Errorf("a loss of power: %v", err)
	}
	reopen("a loss of power", 0x8000)
	set(t, d, "pump", true)
	b.Fault(func(_ uint16, w, _ []byte) error {
		if w[0] == regLatch {
			return syscall.EIO
		}
		return nil
	})
	if _, err := do(t.Context(), d, "set", map[string]any{"pin": "light", "on": false}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a write that fails: %v", err)
	}
	b.Fault(nil)
	reopen("after a write that failed", 0x8000)
	// A gateway that is started anew finds the light on.
	if d = opened(t, plain, b); chip.Out() != 0x8000 {
		t.Errorf("keep, at a start: %04x", chip.Out())
	}
}

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, chip := expander()
		d := opened(t, plain, b)
		args := map[string]any{"pin": "pump", "ms": 500.0}
		ended := make(chan error)
		go func() {
			values, err := do(t.Context(), d, "pulse", args)
			if values["pump"] != false {
				t.Errorf("reported: %v", values)
			}
			ended <- err
		}()
		time.Sleep(400 * time.Millisecond)
		synctest.Wait()
		if chip.Out() != 0x0100 || !strings.Contains(text(t, d), "pump true") {
			t.Errorf("within the pulse: %04x", chip.Out())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := d.Safe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the safe state within the pulse: %v", err)
		}
		if err := <-ended; err != nil || chip.Out() != 0 {
			t.Errorf("after the pulse: %04x, %v", chip.Out(), err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := do(ctx, d, "pulse", args); !errors.Is(err, context.DeadlineExceeded) || chip.Out() != 0 {
			t.Errorf("cut short: %04x, %v", chip.Out(), err)
		}
		// The device is closed within the pulse; opened again, it is off.
		go func() { _, err := do(t.Context(), d, "pulse", args); ended <- err }()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		_ = d.Close()
		if err := <-ended; !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "pump may still be on") || chip.Out() != 0x0100 {
			t.Errorf("closed within: %04x, %v", chip.Out(), err)
		}
		if err := d.Open(t.Context()); err != nil || chip.Out() != 0 {
			t.Errorf("opened again: %04x, %v", chip.Out(), err)
		}
	})
}

func TestRefused(t *testing.T) {
	b, _ := expander()
	d := opened(t, plain, b)
	for _, args := range []map[string]any{nil, {"pin": "door", "on": true}, {"pin": "pump"}, {"pin": "pump", "on": "yes"}} {
		if _, err := do(t.Context(), d, "set", args); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("set %v: %v", args, err)
		}
	}
	b.Noise(func(_ uint16, r []byte) { // a PCF8574
		for i := range r {
			r[i] = 0xff
		}
	})
	if err := errors.Join(d.Close(), d.Open(t.Context())); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "another chip") {
		t.Errorf("a PCF8574: %v", err)
	}
	b.Noise(func(_ uint16, r []byte) { r[regDirection] = 0x12 })
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "does not keep what it is told") {
		t.Errorf("another chip: %v", err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("not open: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for want, pins := range map[string][]Pin{
		"pins: is empty":                         nil,
		"pins[0].pin: is \"C1\"":                 {{Pin: "C1", Direction: "in"}},
		"pins[1].pin: A1 is there twice":         {{Pin: "A1", Name: "a", Direction: "in"}, {Pin: "A1", Name: "b", Direction: "in"}},
		"pins[1].name: a is the name":            {{Pin: "A1", Name: "a", Direction: "in"}, {Pin: "A2", Name: "a", Direction: "in"}},
		"pins[0].pin: B7 is an output only":      {{Pin: "B7", Name: "a", Direction: "in"}},
		"pins[0].safe: is for outputs; want it ": {{Pin: "B0", Name: "a", Direction: "in", Safe: "off"}},
		"pins[0].pull_up: is for inputs; want ":  {{Pin: "B7", Name: "a", Direction: "out", PullUp: true}},
	} {
		if _, err := New(Config{Pins: pins}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
