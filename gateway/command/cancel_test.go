package command_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// busy makes the pump take a minute, or until its context ends.
func (r *rig) busy() {
	r.pump.act = func(ctx context.Context, _ gateway.Command) (map[string]any, error) {
		select {
		case <-time.After(time.Minute):
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func long(id string) gateway.Command {
	return gateway.Command{ID: id, Device: "pump", Action: "slow"}
}

func TestCancelWaiting(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.busy()
		r.accept(long("c1"), long("c2"), long("c3"))
		synctest.Wait()
		start := time.Now()
		got, err := r.Cancel(t.Context(), "c2", "operator")
		if err != nil || got.Status != gateway.StatusDenied || !strings.Contains(got.Detail, "cancelled by operator before it was begun") || time.Since(start) > 0 {
			t.Fatalf("%+v, %v, after %v", got, err, time.Since(start))
		}
		if e := r.disk.held("c2"); e.Started || e.Result == nil || len(r.disk.results()) != 1 {
			t.Errorf("entry %+v, results %v", e, r.disk.results())
		}
		if s := r.Stats(); s.Waiting != 1 || s.Final[gateway.StatusDenied] != 1 {
			t.Errorf("%+v", s)
		}
		r.result("c3")
		if did := r.pump.done(); !slices.Equal(did, []string{"c1", "c3"}) {
			t.Errorf("executed %v", did)
		}
		for _, id := range []string{"c1", "c2", "nobody"} {
			if _, err := r.Cancel(t.Context(), id, "operator"); !errors.Is(err, gateway.ErrUnknown) {
				t.Errorf("%s, which has ended or never was: %v", id, err)
			}
		}
	})
}

// TestCancelThatCannotBeRecorded leaves the command in its place.
func TestCancelThatCannotBeRecorded(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.busy()
		r.accept(long("c1"), long("c2"), long("c3"))
		synctest.Wait()
		r.disk.setFault(func(string) error { return gateway.ErrFull })
		if _, err := r.Cancel(t.Context(), "c2", "operator"); !errors.Is(err, gateway.ErrFull) {
			t.Errorf("%v", err)
		}
		r.disk.setFault(nil)
		r.result("c3")
		if did := r.pump.done(); !slices.Equal(did, []string{"c1", "c2", "c3"}) {
			t.Errorf("executed %v", did)
		}
	})
}

// TestCancelByWhoDoesNotWait counts all the same.
func TestCancelByWhoDoesNotWait(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.busy()
		r.accept(long("c1"), long("c2"), long("c3"))
		synctest.Wait()
		impatient, leave := context.WithCancel(t.Context())
		leave()
		if got, err := r.Cancel(impatient, "c2", "operator"); err != nil || got.Status != gateway.StatusDenied {
			t.Errorf("one that waits: %+v, %v", got, err)
		}
		if _, err := r.Cancel(impatient, "c1", "operator"); !errors.Is(err, context.Canceled) {
			t.Errorf("one that is carried out: %v", err)
		}
		if got := r.result("c1"); got.Status != gateway.StatusFailed {
			t.Errorf("%+v", got)
		}
		r.result("c3")
		if did := r.pump.done(); !slices.Equal(did, []string{"c1", "c3"}) {
			t.Errorf("executed %v", did)
		}
	})
}

func TestCancelRunning(t *testing.T) {
	for _, tt := range []struct {
		name   string
		act    func(ctx context.Context) error
		want   gateway.Status
		detail string
	}{
		{"obeys", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, gateway.StatusFailed, "cancelled by operator while it was carried out"},
		{"is done all the same", func(ctx context.Context) error { <-ctx.Done(); return nil }, gateway.StatusDone, ""},
		{"ignores it", func(context.Context) error { time.Sleep(time.Minute); return nil }, gateway.StatusFailed, "cancelled by operator; the device has not come back"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				r.pump.act = func(ctx context.Context, _ gateway.Command) (map[string]any, error) { return nil, tt.act(ctx) }
				r.accept(long("c1"))
				synctest.Wait()
				start := time.Now()
				got, err := r.Cancel(t.Context(), "c1", "operator")
				if err != nil || got.Status != tt.want || !strings.Contains(got.Detail, tt.detail) {
					t.Errorf("%+v, %v", got, err)
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("it took %v", took)
				}
				if stuck := r.hasCondition("actuator:pump"); stuck != (tt.name == "ignores it") {
					t.Errorf("stuck: %v", stuck)
				}
				time.Sleep(2 * time.Minute)
				r.pump.act = nil
				r.accept(pulse("c2"))
				if got := r.result("c2"); got.Status != gateway.StatusDone {
					t.Errorf("the next one: %+v", got)
				}
			})
		})
	}
}

// TestCancelBeforeItIsBegun: the journal fails just then.
func TestCancelBeforeItIsBegun(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.disk.setFault(func(op string) error {
			if op == "start" {
				return gateway.ErrFull
			}
			return nil
		})
		r.accept(pulse("c1"))
		synctest.Wait()
		got, err := r.Cancel(t.Context(), "c1", "operator")
		if err != nil || got.Status != gateway.StatusDenied || len(r.pump.done()) != 0 {
			t.Errorf("%+v, %v, executed %v", got, err, r.pump.done())
		}
	})
}

// TestCancelOfAnEarlierRun: of what was begun then nobody knows the outcome.
func TestCancelOfAnEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.clock.untrusted = true
		begun := gateway.Command{ID: "begun", Device: "pump", Action: "set", Expires: time.Now().Add(time.Hour)}
		waits := begun
		waits.ID = "waits"
		r.disk.entries = []*gateway.Entry{{Command: begun, Started: true}, {Command: waits}}
		r.start()
		for id, want := range map[string]gateway.Status{"begun": gateway.StatusUnknownOutcome, "waits": gateway.StatusDenied} {
			if got, err := r.Cancel(t.Context(), id, "operator"); err != nil || got.Status != want {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		}
		if err := r.halt(); err != nil {
			t.Error(err)
		}
	})
}

// TestPendingWaitsForTheClock, and what is behind it no longer than the clock has.
func TestPendingWaitsForTheClock(t *testing.T) {
	for _, tt := range []struct {
		trusted time.Duration // after the start; 0: never
		expires time.Duration // after the start
		want    gateway.Status
		takes   time.Duration
	}{
		{3 * time.Minute, time.Hour, gateway.StatusDone, 3 * time.Minute},
		{3 * time.Minute, time.Minute, gateway.StatusExpired, 3 * time.Minute},
		{0, time.Hour, gateway.StatusDenied, 5 * time.Minute},
	} {
		t.Run(fmt.Sprint(tt.trusted, tt.expires), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.clock.untrusted = true
				old := pulse("old")
				old.Expires = time.Now().Add(tt.expires)
				r.disk.entries = []*gateway.Entry{{Command: old}, {Command: pulse("behind")}}
				start := time.Now()
				r.start()
				r.accept(gateway.Command{ID: "other", Device: "fan", Action: "pulse"})
				if r.result("other"); time.Since(start) > 0 {
					t.Errorf("another device waited %v", time.Since(start))
				}
				if tt.trusted > 0 {
					time.Sleep(tt.trusted)
					r.clock.trust()
				}
				if got := r.result("old"); got.Status != tt.want {
					t.Errorf("%s, %s", got.Status, got.Detail)
				}
				if took := time.Since(start); took < tt.takes || took > tt.takes+2*time.Second {
					t.Errorf("it took %v, want %v", took, tt.takes)
				}
				if got := r.result("behind"); got.Status != gateway.StatusDone || time.Since(start) > tt.takes+2*time.Second {
					t.Errorf("behind it: %s after %v", got.Status, time.Since(start))
				}
				if stuck := r.board.Stuck(); stuck != nil {
					t.Errorf("silent: %v", stuck)
				}
				if err := r.halt(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
