package command_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestStopLetsTheRunningCommandEnd(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(4 * time.Second)
			return nil, nil
		}
		r.accept(pulse("c1"), pulse("c2"))
		synctest.Wait()
		if err := r.halt(); err != nil {
			t.Fatal(err)
		}
		if e := r.disk.held("c1"); e.Result == nil || e.Result.Status != gateway.StatusDone {
			t.Errorf("the running command: %+v", e)
		}
		if e := r.disk.held("c2"); e.Started || e.Result != nil {
			t.Errorf("the waiting command: %+v", e)
		}
		if err := r.inbox.Accept(t.Context(), pulse("c3")); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("after the stop: %v", err)
		}
		r.assemble()
		r.start()
		if got := r.result("c2"); got.Status != gateway.StatusDone {
			t.Errorf("%s", got.Status)
		}
	})
}

func TestStopCutsACommandShort(t *testing.T) {
	for _, tt := range []struct {
		action string
		want   gateway.Status
		times  int
	}{{"pulse", gateway.StatusUnknownOutcome, 1}, {"set", gateway.StatusDone, 2}} {
		t.Run(tt.action, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				r.pump.act = func(ctx context.Context, _ gateway.Command) (map[string]any, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				cmd := pulse("c1")
				cmd.Action = tt.action
				r.accept(cmd)
				synctest.Wait()
				begun := time.Now()
				if err := r.halt(); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took != 5*time.Second {
					t.Errorf("the grace was %v", took)
				}
				r.pump.act = nil
				r.assemble()
				r.start()
				if got := r.result("c1"); got.Status != tt.want {
					t.Errorf("%s, %q", got.Status, got.Detail)
				}
				if n := len(r.pump.done()); n != tt.times {
					t.Errorf("executed %d times", n)
				}
			})
		})
	}
}

func TestStopLeavesAStuckDriverBehind(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		free := make(chan struct{})
		defer close(free)
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			<-free
			return nil, nil
		}
		r.accept(pulse("c1"))
		r.result("c1")
		if err := r.halt(); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "pump") {
			t.Errorf("Run: %v", err)
		}
		if c := r.board.Conditions(); len(c) != 0 {
			t.Errorf("conditions that nobody will clear: %v", c)
		}
	})
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := func(id string) gateway.Command {
			return gateway.Command{ID: id, Device: "pump", Action: "set"}
		}
		late := set("late")
		late.Expires = time.Now().Add(-time.Second)
		gone := pulse("gone")
		gone.Device = "door"
		r.disk.entries = []*gateway.Entry{
			{Command: pulse("begun"), Started: true},
			{Command: set("again"), Started: true},
			{Command: late, Started: true},
			{Command: gone, Started: true},
			{Command: pulse("old")},
		}
		accepted := make(chan error)
		go func() { accepted <- r.inbox.Accept(t.Context(), pulse("new")) }()
		synctest.Wait()
		if r.disk.held("new") != nil {
			t.Error("accepted before what was pending had its place")
		}
		r.start()
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]gateway.Status{
			"begun": gateway.StatusUnknownOutcome, "again": gateway.StatusDone, "late": gateway.StatusUnknownOutcome,
			"gone": gateway.StatusUnknownOutcome, "old": gateway.StatusDone, "new": gateway.StatusDone,
		} {
			if got := r.result(id); got.Status != want {
				t.Errorf("%s: %s, want %s (%s)", id, got.Status, want, got.Detail)
			}
		}
		if did := r.pump.done(); !slices.Equal(did, []string{"again", "old", "new"}) {
			t.Errorf("executed %v", did)
		}
		if err := r.halt(); err != nil {
			t.Error(err)
		}
	})
}

func TestPendingIsTriedUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.disk.entries = []*gateway.Entry{{Command: pulse("old")}}
		r.disk.setFault(func(string) error { return errors.New("read error") })
		r.start()
		time.Sleep(time.Minute)
		if !r.hasCondition("command-journal") {
			t.Error("no condition")
		}
		r.disk.setFault(nil)
		if got := r.result("old"); got.Status != gateway.StatusDone {
			t.Errorf("%s", got.Status)
		}
		if r.hasCondition("command-journal") {
			t.Error("the condition stays")
		}
		if err := r.halt(); err != nil {
			t.Error(err)
		}
	})
}

// TestResumableActionsGoOn: they are left at once at a stop, and told that they had
// been begun.
func TestResumableActionsGoOn(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(_ context.Context, cmd gateway.Command) (map[string]any, error) {
			if cmd.Resumed {
				return map[string]any{"resumed": true}, nil
			}
			<-r.Stopping()
			return nil, context.Canceled
		}
		cmd := pulse("c1")
		cmd.Action = "series"
		r.accept(cmd)
		synctest.Wait()
		begun := time.Now()
		if err := r.halt(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the stop took %v", took)
		}
		r.assemble()
		r.start()
		if got := r.result("c1"); got.Status != gateway.StatusDone || got.Values["resumed"] != true {
			t.Errorf("%+v", got)
		}
		again := pulse("c2")
		again.Action = "series"
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) { return nil, context.Canceled }
		r.accept(again)
		if got := r.result("c2"); got.Status != gateway.StatusFailed {
			t.Errorf("cancelled without a stop: %+v", got)
		}
	})
}
