package policy

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// jam is a log that takes nothing until it is opened.
type jam struct{ open chan struct{} }

func (jam) Enabled(context.Context, slog.Level) bool { return true }
func (j jam) Handle(context.Context, slog.Record) error {
	<-j.open
	return nil
}
func (j jam) WithAttrs([]slog.Attr) slog.Handler { return j }
func (j jam) WithGroup(string) slog.Handler      { return j }

// TestFullLogHoldsUpNoSafeState: nor a command.
func TestFullLogHoldsUpNoSafeState(t *testing.T) {
	c := map[gateway.DeviceID]Terms{"pump": {MaxOn: time.Minute}, "fan": {SafeAfter: SafeAfter{Silence: 2 * time.Minute}}}
	inBubble(t, c, func(_ *testing.T, r *rig) {
		r.stop()
		log := jam{make(chan struct{})}
		r.opts.Log = slog.New(log)
		r.opts.Health = health.NewBoard(r.opts.Log)
		r.start()
		r.must("pump", "on")
		r.must("fan", "on")
		time.Sleep(time.Minute)
		r.is("pump", false)
		time.Sleep(time.Minute)
		r.is("fan", false)
		r.must("pump", "on")
		r.is("pump", true)
		close(log.open)
	})
}

// expect compares what the hub has been told since this was last called.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	if got := r.told(); !slices.Equal(got, want) {
		r.t.Errorf("told\n%q, want\n%q", got, want)
	}
}

// TestHubIsToldOfSafeStates: of each that was not asked for by a command.
func TestHubIsToldOfSafeStates(t *testing.T) {
	c := map[gateway.DeviceID]Terms{
		"fan":   {MaxOn: time.Minute},
		"light": {SafeAfter: SafeAfter{Silence: time.Minute}},
		"pump":  {OnlyWhile: "valve.on"},
		"siren": {SafeAfter: SafeAfter{LinkLost: time.Minute}},
		"valve": {},
	}
	inBubble(t, c, func(_ *testing.T, r *rig) {
		r.must("valve", "on")
		for _, id := range []gateway.DeviceID{"fan", "light", "pump", "siren"} {
			r.must(id, "on")
		}
		r.link(false)
		r.expect()
		time.Sleep(time.Minute)
		got := r.told()
		slices.Sort(got) // they were made safe at the same time
		if want := []string{
			"fan max_on true map[on:false]: fan was taken to its safe state, since it has been on for 1m0s (max_on)",
			"light safe_after.silence true map[on:false]: light was taken to its safe state, since no command has come for it for 1m0s (safe_after.silence)",
			"siren safe_after.link_lost true map[on:false]: siren was taken to its safe state, since there has been no session with the hub for 1m0s (safe_after.link_lost)",
		}; !slices.Equal(got, want) {
			r.t.Errorf("told\n%q, want\n%q", got, want)
		}
		if err := r.Safe("valve", "the test wants it"); err != nil {
			r.t.Error(err)
		}
		r.expect(
			"pump only_while true map[on:false]: pump was taken to its safe state, since valve takes its safe state, and then valve.on is false (only_while: `valve.on`)",
			"valve asked true map[on:false]: valve was taken to its safe state, since the test wants it",
		)
	})
}

// TestFlappingInterlockIsToldNowAndThen, and a safe state that fails, too; but that it
// was taken in the end is told at once.
func TestFlappingInterlockIsToldNowAndThen(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {OnlyWhile: "tank.level > 10"}}, func(_ *testing.T, r *rig) {
		flap := func() {
			r.t.Helper()
			r.measure(20)
			r.must("pump", "on")
			r.measure(5)
			r.is("pump", false)
		}
		const safe = "pump only_while true map[on:false]: pump was taken to its safe state, since tank.level is 5, and it needs `tank.level > 10` (only_while)"
		flap()
		r.expect(safe)
		for range 59 {
			time.Sleep(time.Second)
			flap()
		}
		r.succeed() // as a change of the config does
		flap()
		r.expect()
		time.Sleep(time.Second)
		flap()
		r.expect(safe)

		time.Sleep(time.Hour)
		r.measure(20)
		r.must("pump", "on")
		r.relays["pump"].change(func(d *relay) { d.fail = errors.New("it is jammed") })
		r.measure(5)
		r.expect("pump only_while false map[]: pump has to take its safe state, since tank.level is 5, and it needs `tank.level > 10` (only_while), and that has failed: it is jammed; it is tried again")
		time.Sleep(10 * time.Second)
		r.expect()
		r.relays["pump"].change(func(d *relay) { d.fail = nil })
		time.Sleep(time.Second)
		r.expect(safe)
	})
}

// TestStuckLinkHoldsUpNoSafeState: nobody answers whether there is a session. Then there
// is none, after a while.
func TestStuckLinkHoldsUpNoSafeState(t *testing.T) {
	c := map[gateway.DeviceID]Terms{"pump": {MaxOn: time.Minute}, "siren": {SafeAfter: SafeAfter{LinkLost: 2 * time.Minute}}}
	inBubble(t, c, func(_ *testing.T, r *rig) {
		r.stop()
		var stuck atomic.Bool
		answer := make(chan struct{})
		r.opts.Connected = func(gateway.DeviceID) bool {
			if stuck.Load() {
				<-answer
			}
			return true
		}
		r.start()
		r.must("siren", "on")
		time.Sleep(time.Hour)
		r.is("siren", true)
		stuck.Store(true)
		time.Sleep(time.Second)
		r.must("pump", "on")
		time.Sleep(time.Minute)
		r.is("pump", false)
		r.is("siren", true)
		time.Sleep(2 * time.Minute)
		r.is("siren", false)
		close(answer)
	})
}
