package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// rig is a relay on a line of a simulated chip.
type rig struct {
	*Dev
	chip *drivertest.Chip
}

func wire(t *testing.T, c Config, outside bool) *rig {
	t.Helper()
	c.Line = "GPIO17"
	chip := drivertest.NewChip("gpiochip0", "pinctrl-bcm2711", "GPIO17")
	chip.Drive("GPIO17", outside)
	d, err := New(c, bus.New(bus.Options{Hardware: bus.Hardware{GPIO: drivertest.GPIO{chip}}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return &rig{d, chip}
}

func (r *rig) do(t *testing.T, action string, args map[string]any) error {
	t.Helper()
	_, err := r.Do(t.Context(), gateway.Command{ID: "1", Action: action, Args: args})
	return err
}

// must does what has to succeed.
func (r *rig) must(t *testing.T, action string, args map[string]any) {
	t.Helper()
	if err := r.do(t, action, args); err != nil {
		t.Errorf("%s %v: %v", action, args, err)
	}
}

// is says whether the line is high and the reading the same.
func (r *rig) is(t *testing.T, on bool) {
	t.Helper()
	readings, err := r.Read(t.Context())
	if err != nil {
		t.Errorf("Read: %v", err)
		return
	}
	if got, ok := readings[0].Value.Bool(); !ok || got != on || r.chip.Level("GPIO17") != (on != r.config.ActiveLow) {
		t.Errorf("it reads %v with the line at %t, want %t", readings, r.chip.Level("GPIO17"), on)
	}
}

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any { return wire(t, Config{Safe: "off"}, false).Dev })
}

// TestSafeState: from the first moment, after whatever was done, and at the end.
func TestSafeState(t *testing.T) {
	for _, c := range []struct {
		safe      string
		activeLow bool
		outside   bool // what the pull of the relay board makes of an open line
		opened    []bool
		closed    bool // level of the line afterwards
	}{
		{"off", false, true, []bool{false}, false},
		{"off", true, false, []bool{true}, true},
		{"on", false, false, []bool{true}, true},
		{"on", true, true, []bool{false}, false},
		{"keep", false, true, nil, false},
		{"keep", true, false, nil, true},
	} {
		r := wire(t, Config{Safe: c.safe, ActiveLow: c.activeLow}, c.outside)
		if h := r.chip.History("GPIO17"); !slices.Equal(h, c.opened) {
			t.Errorf("%+v: at Open it is driven %v", c, h)
		}
		r.is(t, len(c.opened) > 0 && c.safe == "on" || c.safe == "keep" && c.outside != c.activeLow)
		r.must(t, "on", nil)
		r.must(t, "set", map[string]any{"on": c.safe == "off"}) // as far from safe as can be; off with keep
		if err := r.Safe(t.Context()); err != nil {
			t.Errorf("%+v: Safe: %v", c, err)
		}
		r.is(t, c.safe == "on")
		r.must(t, "set", map[string]any{"on": c.safe == "off"})
		if err := r.Close(); err != nil {
			t.Errorf("%+v: Close: %v", c, err)
		}
		if got := r.chip.Level("GPIO17"); got != c.closed || !r.chip.Free() {
			t.Errorf("%+v: after Close the line is high: %t", c, got)
		}
	}
}

func TestClosedOrLost(t *testing.T) {
	r := wire(t, Config{Safe: "off"}, false)
	r.must(t, "on", nil)
	r.chip.Unplug()
	if _, err := r.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "cannot be switched") {
		t.Errorf("Read without the chip: %v", err)
	}
	if err := r.do(t, "off", nil); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("off without the chip: %v", err)
	}
	if err := r.Safe(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Safe without the chip: %v", err)
	}
	_ = r.Close()
	if err := r.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Open without the chip: %v", err)
	}
	for what, err := range map[string]error{
		"Read": func() error { _, err := r.Read(t.Context()); return err }(), "Safe": r.Safe(t.Context()),
		"on": r.do(t, "on", nil), "pulse": r.do(t, "pulse", map[string]any{"ms": 1.0}),
	} {
		if !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("%s of a closed relay: %v", what, err)
		}
	}
	r.chip.Plug()
	if err := r.Open(t.Context()); err != nil {
		t.Fatalf("Open when it is back: %v", err)
	}
	r.is(t, false)
}

// TestRelayThatDoesNotGoOff is told to again, and says so, until it is closed.
func TestRelayThatDoesNotGoOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, Config{Safe: "off"}, false)
		r.must(t, "on", nil)
		tries := 0
		r.chip.FailDrive("GPIO17", func() error {
			tries++
			return errors.New("it does not work")
		})
		if err := r.Safe(t.Context()); err == nil {
			t.Error("it is safe although it does not go off")
		}
		time.Sleep(2*time.Second + time.Millisecond)
		if _, err := r.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "should have gone off, and does not") || tries != 3 {
			t.Errorf("after %d tries: %v", tries, err)
		}
		if s := r.State(); len(s) > 0 {
			t.Errorf("the state is known: %v", s)
		}
		r.chip.FailDrive("GPIO17", nil)
		time.Sleep(time.Second)
		r.is(t, false)

		r.must(t, "on", nil)
		r.chip.FailDrive("GPIO17", func() error { return errors.New("it does not work") })
		if err := r.Close(); err == nil {
			t.Error("it is closed without being safe, and does not say so")
		}
		if r.chip.Level("GPIO17") != true {
			t.Error("the chip does what it cannot")
		}
	})
}

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, Config{Safe: "off"}, false)
		began := time.Now()
		r.must(t, "pulse", map[string]any{"ms": 250.0})
		if lasted := time.Since(began); lasted != 250*time.Millisecond {
			t.Errorf("it took %v", lasted)
		}
		r.is(t, false)
		if h := r.chip.History("GPIO17"); !slices.Equal(h, []bool{false, true, false}) {
			t.Errorf("driven %v", h)
		}
		for _, ms := range []any{0.0, 10_001.0, 0.5, "x"} {
			if err := r.do(t, "pulse", map[string]any{"ms": ms}); !errors.Is(err, gateway.ErrDenied) {
				t.Errorf("%v ms: %v", ms, err)
			}
		}
		r.must(t, "on", nil)
		if err := r.do(t, "pulse", map[string]any{"ms": 1.0}); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("while it is on: %v", err)
		}
		r.is(t, true)
	})
}

func TestPulseCutShort(t *testing.T) {
	long := gateway.Command{ID: "1", Action: "pulse", Args: map[string]any{"ms": 10_000.0}}
	for name, cut := range map[string]func(r *rig, cancel func()){
		"by its context":       func(_ *rig, cancel func()) { cancel() },
		"by the safe state":    func(r *rig, _ func()) { _ = r.Safe(t.Context()) },
		"by the end of it all": func(r *rig, _ func()) { _ = r.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := wire(t, Config{Safe: "off"}, false)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(3*time.Second, func() { cut(r, cancel) })
				began := time.Now()
				if _, err := r.Do(ctx, long); err == nil || time.Since(began) != 3*time.Second || !strings.Contains(err.Error(), "cut short") {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if r.chip.Level("GPIO17") {
					t.Error("the relay is left on")
				}
				cancel()
			})
		})
	}
}

func TestSafeOnEndsAPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, Config{Safe: "on"}, false)
		r.must(t, "off", nil)
		time.AfterFunc(time.Second, func() { _ = r.Safe(t.Context()) })
		if err := r.do(t, "pulse", map[string]any{"ms": 5000.0}); err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("the pulse: %v", err)
		}
		time.Sleep(time.Hour)
		r.is(t, true)
	})
}

func TestValidate(t *testing.T) {
	var fault *gateway.FieldError
	if _, err := New(Config{LineConfig: bus.LineConfig{Line: "17"}, Safe: "off"}, nil); !errors.As(err, &fault) || fault.Field != "line" {
		t.Errorf("a line that is none: %v", err)
	}
}

func TestEndures(t *testing.T) {
	drivertest.Endure(t, wire(t, Config{Safe: "off"}, false))
}
