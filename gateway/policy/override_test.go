package policy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestOverride: only commands of the board are carried out, until it ends, over
// restarts, whether the board knows the time or not.
func TestOverride(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overrides.json")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[gateway.DeviceID]Terms{"pump": {}, "fan": {}})
		r.opts.Overrides = file
		restart := func() {
			r.stop()
			r.start()
		}
		restart()
		if err := r.Override("pump", time.Hour); err != nil {
			t.Fatal(err)
		}
		r.denied(r.do("pump", "on"), "pump is under manual control on site for another 1h0m0s")
		r.denied(r.command(gateway.OriginRule, "pump", "on", nil), "manual control")
		if err := r.command(gateway.OriginLocal, "pump", "on", nil); err != nil {
			t.Error(err)
		}
		r.must("fan", "on")
		time.Sleep(20 * time.Minute)
		restart()
		r.denied(r.do("pump", "on"), "for another 40m0s")
		if s, _ := r.Standing("pump"); time.Until(s.OverrideUntil).Round(time.Second) != 40*time.Minute {
			t.Errorf("until %v", s.OverrideUntil)
		}
		r.clock.untrusted = true
		restart()
		r.denied(r.do("pump", "on"), "for another 1h0m0s") // as much as it may be
		time.Sleep(time.Hour)
		r.must("pump", "on")
		r.clock.untrusted = false
		restart()
		r.must("pump", "on")

		if err := r.Override("pump", time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := r.Release("pump"); err != nil {
			t.Fatal(err)
		}
		restart()
		r.must("pump", "on")
		if err := r.Override("nothing", time.Hour); !errors.Is(err, gateway.ErrUnknown) {
			t.Errorf("of no device: %v", err)
		}
		for _, length := range []time.Duration{0, -1, MaxOverride + 1} {
			if err := r.Override("pump", length); !errors.Is(err, gateway.ErrDenied) {
				t.Errorf("for %v: %v", length, err)
			}
		}
		r.stop()
	})
}

// TestDamagedOverrides are over, and the gateway runs.
func TestDamagedOverrides(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overrides.json")
	for _, text := range []string{"", "{", `[{"device":"pump","left":-5}]`, `[{"device":"","left":5}]`, `[{"device":"pump","left":700000000000000}]`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, map[gateway.DeviceID]Terms{"pump": {}})
			r.opts.Overrides = file
			r.stop()
			r.start()
			r.must("pump", "on")
			r.stop()
		})
	}
}

// FuzzDecodeOverrides: whatever the file holds is refused, or within bounds.
func FuzzDecodeOverrides(f *testing.F) {
	for _, text := range []string{"", "[]", "null", `[{"device":"pump","left":3600000000000,"until":"2026-11-30T10:00:00Z"}]`, `[{"device":"pump","left":1e99}]`, `[[]]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeOverrides(data)
		if (err == nil) == errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%v", err)
		}
		for _, k := range list {
			if k.Device == "" || k.Left <= 0 || k.Left > MaxOverride {
				t.Errorf("%+v", k)
			}
		}
	})
}

// slowClock takes its time to say whether it is trusted, as a disk does to write: both
// are asked for an override.
type slowClock struct {
	wall
	asked, answer chan struct{}
}

func (c *slowClock) Trusted() bool {
	c.asked <- struct{}{}
	<-c.answer
	return true
}

// TestSlowDiskHoldsUpNoSafeState: nor a change of the config, which loses nothing.
func TestSlowDiskHoldsUpNoSafeState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overrides.json")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[gateway.DeviceID]Terms{"pump": {MaxOn: time.Minute}, "fan": {}})
		defer func() { r.stop() }()
		r.stop()
		clock := &slowClock{asked: make(chan struct{}), answer: make(chan struct{})}
		r.opts.Overrides, r.opts.Clock = file, clock
		r.start()
		r.must("pump", "on")
		overridden := make(chan error)
		go func() { overridden <- r.Override("fan", time.Hour) }()
		<-clock.asked
		time.Sleep(time.Minute)
		r.is("pump", false)
		r.succeed()
		close(clock.answer)
		if err := <-overridden; err != nil {
			t.Error(err)
		}
		r.denied(r.do("fan", "on"), "fan is under manual control")
	})
}
