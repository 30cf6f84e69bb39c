package storeforward

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func command(id string) gateway.Command {
	return gateway.Command{
		ID: id, Device: "pump", Action: "set", Args: map[string]any{"on": true, "level": 2.5, "mode": "eco"},
		Expires: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), Received: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), Origin: gateway.OriginC2D,
	}
}

func mustBegin(t testing.TB, j *Journal, cmd gateway.Command) (gateway.Entry, bool) {
	t.Helper()
	e, first, err := j.Begin(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	return e, first
}

func mustPending(t testing.TB, j *Journal) (list []gateway.Entry) {
	t.Helper()
	if err := j.Pending(t.Context(), func(e gateway.Entry) { list = append(list, e) }); err != nil {
		t.Fatal(err)
	}
	return list
}

func mustFinish(t testing.TB, j *Journal, id string) {
	t.Helper()
	if err := j.Finish(t.Context(), gateway.Result{CommandID: id, Status: gateway.StatusDone}); err != nil {
		t.Fatal(err)
	}
}

// walk lists the ids in the journal, newest first.
func walk(t testing.TB, j *Journal) (ids []string) {
	t.Helper()
	err := j.Walk(t.Context(), func(e gateway.Entry) bool {
		ids = append(ids, e.Command.ID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestJournalKeepsEachStateAcrossReopens(t *testing.T) {
	o := testOptions(t.TempDir())
	cmd := command("c1")
	reopen := func(q *Queue) *Queue {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		return mustOpen(t, o)
	}
	q := mustOpen(t, o)
	if _, first := mustBegin(t, q.Journal(), cmd); !first {
		t.Fatal("a new command is not first")
	}
	q = reopen(q)
	e, first := mustBegin(t, q.Journal(), cmd)
	if first || e.Started || e.Result != nil || !reflect.DeepEqual(e.Command, cmd) {
		t.Fatalf("received: first %v, %+v", first, e)
	}
	if err := q.Journal().Start(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	q = reopen(q)
	pending := mustPending(t, q.Journal())
	if len(pending) != 1 || !pending[0].Started || !pending[0].StartedAt.Equal(newClock().now) {
		t.Fatalf("started: %+v", pending)
	}
	result := gateway.Result{CommandID: "c1", Status: gateway.StatusDone, Values: map[string]any{"on": true}}
	out := msg(gateway.LaneResults, `{"command":"c1"}`)
	if err := q.Journal().Finish(t.Context(), result, out); err != nil {
		t.Fatal(err)
	}
	q = reopen(q)
	if e, first := mustBegin(t, q.Journal(), cmd); first || e.Result == nil || e.Result.Status != gateway.StatusDone {
		t.Errorf("finished: first %v, %+v", first, e)
	}
	if pending := mustPending(t, q.Journal()); len(pending) != 0 {
		t.Errorf("pending %+v", pending)
	}
	if m := mustNext(t, q); m.ID.Lane != gateway.LaneResults || string(m.Body) != `{"command":"c1"}` {
		t.Errorf("outgoing %s %s", m.ID, m.Body)
	}
}

func TestJournalForgetsTheOldestFinished(t *testing.T) {
	o := testOptions(t.TempDir())
	o.JournalEntries = 3
	q := mustOpen(t, o)
	j := q.Journal()
	mustBegin(t, j, command("pending"))
	for i := range 6 {
		id := fmt.Sprintf("c%d", i)
		mustBegin(t, j, command(id))
		if err := j.Finish(t.Context(), gateway.Result{CommandID: id, Status: gateway.StatusDone}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, o).Journal()
	for id, known := range map[string]bool{"c0": false, "c2": false, "c3": true, "c5": true, "pending": true} {
		if _, found, err := j.Entry(t.Context(), id); found != known || err != nil {
			t.Errorf("%s: known %v, %v, want %v", id, found, err, known)
		}
	}
}

func TestOfTwoEqualCommandsOneIsFirst(t *testing.T) {
	j := mustOpen(t, testOptions(t.TempDir())).Journal()
	var firsts int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, first, err := j.Begin(t.Context(), command("same"))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if first {
				firsts++
			}
		})
	}
	wg.Wait()
	if firsts != 1 {
		t.Errorf("%d were first", firsts)
	}
}

func TestUnknownCommandCannotFinish(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	if err := q.Journal().Finish(t.Context(), gateway.Result{CommandID: "nobody"}, msg(gateway.LaneResults, "x")); err == nil {
		t.Error("finished a command that never began")
	}
	wantEmpty(t, q)
}
