package storeforward

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func outletOptions(t *testing.T) Options {
	o := testOptions(t.TempDir())
	o.Lanes = map[gateway.Lane]LaneOptions{"node7": {Outlet: "child"}, "node8": {Outlet: "child"}}
	return o
}

// TestAnOutletHasItsOwnLanes, and the queue the others.
func TestAnOutletHasItsOwnLanes(t *testing.T) {
	q := mustOpen(t, outletOptions(t))
	child := q.Outlet("child")
	mustAppend(t, q, msg("node7", "a"), msg("telemetry", "b"), msg("node8", "c"))
	seen := map[gateway.Lane]bool{}
	for range 2 {
		m, err := child.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[m.ID.Lane] = true
	}
	if !seen["node7"] || !seen["node8"] {
		t.Errorf("the outlet handed out %v", seen)
	}
	if m := mustNext(t, q); m.ID.Lane != "telemetry" {
		t.Errorf("the queue handed out %s", m.ID)
	}
	wantEmpty(t, q)
	q.Rewind() // of the queue's own link: the child's messages in flight stay so
	if m := mustNext(t, q); m.ID.Lane != "telemetry" {
		t.Errorf("after Rewind the queue handed out %s", m.ID)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if m, err := child.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the outlet handed %s out again, %v", m.ID, err)
	}
	child.Rewind()
	if m, err := child.Next(t.Context()); err != nil || m.ID.Seq != 1 {
		t.Errorf("after its own Rewind: %s, %v", m.ID, err)
	}
	if q.Outlet("nobody") != nil {
		t.Error("there is an outlet that no lane names")
	}
}

// TestAnOutletIsWoken by what comes into its lanes while it waits, though the
// queue's own receiver waits too.
func TestAnOutletIsWoken(t *testing.T) {
	q := mustOpen(t, outletOptions(t))
	got := make(chan gateway.Message, 2)
	take := func(next func(context.Context) (gateway.Message, error)) {
		if m, err := next(t.Context()); err == nil {
			got <- m
		}
	}
	go take(q.Next)
	go take(q.Outlet("child").Next)
	mustAppend(t, q, msg("telemetry", "a"))
	mustAppend(t, q, msg("node7", "b"))
	for range 2 {
		select {
		case <-got:
		case <-time.After(time.Minute):
			t.Fatal("nobody woke up")
		}
	}
}

// TestWhatIsLeftOfAnOutletGoesToTheQueue once no lane names it any more.
func TestWhatIsLeftOfAnOutletGoesToTheQueue(t *testing.T) {
	o := outletOptions(t)
	q := mustOpen(t, o)
	mustAppend(t, q, msg("node7", "a"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	o.Lanes = nil
	q = mustOpen(t, o)
	if m := mustNext(t, q); m.ID.Lane != "node7" {
		t.Errorf("got %s", m.ID)
	}
}
