package storeforward

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// agedJournal opens a store whose journal keeps entries for an hour.
func agedJournal(t *testing.T) (*Queue, Options, *testClock) {
	t.Helper()
	o, clock := testOptions(t.TempDir()), newClock()
	o.Clock, o.JournalAge = clock, time.Hour
	return mustOpen(t, o), o, clock
}

// TestJournalForgetsByAge: what has outlived it is carried out like a new one,
// and leaves the disk with the next command.
func TestJournalForgetsByAge(t *testing.T) {
	q, o, clock := agedJournal(t)
	j := q.Journal()
	for _, id := range []string{"old", "older"} {
		mustBegin(t, j, command(id))
		mustFinish(t, j, id)
	}
	mustBegin(t, j, command("pending"))
	clock.add(59 * time.Minute)
	if _, first := mustBegin(t, j, command("old")); first {
		t.Error("forgotten before its time")
	}
	clock.add(2 * time.Minute)
	if e, first := mustBegin(t, j, command("old")); !first || e.Result != nil {
		t.Errorf("after its time: first %v, %+v", first, e)
	}
	mustFinish(t, j, "old")
	if got := walk(t, j); !slices.Equal(got, []string{"old", "pending"}) {
		t.Errorf("the journal holds %v", got)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	if _, first := mustBegin(t, q.Journal(), command("old")); first {
		t.Error("the second one is not remembered")
	}
	if got := mustPending(t, q.Journal()); len(got) != 1 || got[0].Command.ID != "pending" {
		t.Errorf("pending %+v", got)
	}
}

// TestAStepOfTheClockForgetsNoCommand, years either way, within a boot and
// beyond it, trusted or not.
func TestAStepOfTheClockForgetsNoCommand(t *testing.T) {
	const leap = 400 * 24 * time.Hour // what is more is told from a long rest
	rapid.Check(t, func(rt *rapid.T) {
		var ahead time.Duration // of the time that has really passed
		dir := t.TempDir()
		o, clock := testOptions(dir), newClock()
		o.Clock, o.JournalAge = clock, time.Hour
		q := mustOpen(t, o)
		mustBegin(t, q.Journal(), command("c"))
		mustFinish(t, q.Journal(), "c")
		for range 3 {
			passed := time.Duration(rapid.IntRange(1, 18).Draw(rt, "minutes")) * time.Minute
			reboot := rapid.Bool().Draw(rt, "reboot")
			if reboot || rapid.Bool().Draw(rt, "restart") {
				mustClose(t, q)
				if reboot {
					clock.reboot(passed)
				}
				q = mustOpen(t, o)
			}
			if !reboot {
				clock.add(passed)
			}
			step := time.Duration(rapid.IntRange(-20, 20).Draw(rt, "years")) * 365 * 24 * time.Hour
			if ahead+step > 0 && ahead+step <= leap { // as after a long rest
				step += leap
			}
			clock.step(step)
			ahead += step
			untrusted := rapid.Bool().Draw(rt, "untrusted") // drawing can end the test
			clock.mu.Lock()
			clock.untrusted = untrusted
			clock.mu.Unlock()
			if _, first := mustBegin(t, q.Journal(), command("c")); first {
				rt.Fatalf("forgotten")
			}
		}
		mustClose(t, q)
	})
}

// TestSweepForgetsWithoutACommand, and keeps what has its time.
func TestSweepForgetsWithoutACommand(t *testing.T) {
	q, _, clock := agedJournal(t)
	j := q.Journal()
	mustBegin(t, j, command("old"))
	mustFinish(t, j, "old")
	mustBegin(t, j, command("pending"))
	clock.add(2 * time.Hour)
	for range 200 {
		if got := walk(t, j); slices.Equal(got, []string{"pending"}) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the journal holds %v", walk(t, j))
}

func TestJournalIsBoundedInBytes(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytes = MinMaxBytes // so 4 MB are for the journal
	q := mustOpen(t, o)
	j := q.Journal()
	for i := range 100 {
		cmd := command(fmt.Sprint("c", i))
		cmd.Args = map[string]any{"text": strings.Repeat("x", 60<<10)}
		mustBegin(t, j, cmd)
		mustFinish(t, j, cmd.ID)
	}
	held := len(walk(t, j))
	if j.bytes > o.journalBytes()+64<<10 || held < 60 || held > 67 {
		t.Errorf("%d entries with %d bytes", held, j.bytes)
	}
	mustClose(t, q)
	again := mustOpen(t, o).Journal()
	if again.bytes != j.bytes || len(again.finished) != held {
		t.Errorf("after a start %d entries with %d bytes, before %d with %d", len(again.finished), again.bytes, held, j.bytes)
	}
}

// TestDisownedEntryLeaves: an entry whose write failed may be on disk all the
// same; the next write removes it, so that it never comes back as a command.
func TestDisownedEntryLeaves(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	j := q.Journal()
	mustBegin(t, j, command("c"))
	j.mu.Lock()
	ghost := j.entries["c"]
	delete(j.entries, "c")
	j.doubtful = append(j.doubtful, ghost.arrival)
	j.mu.Unlock()
	if _, first := mustBegin(t, j, command("c")); !first {
		t.Fatal("it is known")
	}
	if _, err := j.read(ghost.arrival); !errors.Is(err, badger.ErrKeyNotFound) {
		t.Errorf("the first entry is there: %v", err)
	}
	if got := walk(t, j); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// TestTookIsIndependentOfTheWallClock.
func TestTookIsIndependentOfTheWallClock(t *testing.T) {
	q, o, clock := agedJournal(t)
	for _, tt := range []struct {
		id   string
		step time.Duration
		boot bool
		want time.Duration
	}{
		{"plain", 0, false, 3 * time.Second},
		{"stepped", -10 * 365 * 24 * time.Hour, false, 3 * time.Second},
		{"rebooted", 0, true, 0},
	} {
		j := q.Journal()
		mustBegin(t, j, command(tt.id))
		if err := j.Start(t.Context(), tt.id); err != nil {
			t.Fatal(err)
		}
		clock.add(3 * time.Second)
		clock.step(tt.step)
		if tt.boot {
			mustClose(t, q)
			clock.reboot(0)
			q = mustOpen(t, o)
			j = q.Journal()
		}
		mustFinish(t, j, tt.id)
		if e, _, err := j.Entry(t.Context(), tt.id); err != nil || e.Took != tt.want || e.StartedAt.IsZero() {
			t.Errorf("%s: took %v, %v, want %v", tt.id, e.Took, err, tt.want)
		}
	}
}

// TestEntryOfAFormerVersion has neither times nor a stamp.
func TestEntryOfAFormerVersion(t *testing.T) {
	q, o, clock := agedJournal(t)
	j := q.Journal()
	mustBegin(t, j, command("c"))
	j.mu.Lock()
	e := j.entries["c"]
	j.mu.Unlock()
	result := gateway.Result{CommandID: "c", Status: gateway.StatusDone}
	old := journalRecord{Entry: gateway.Entry{Command: command("c"), Started: true, Result: &result}}
	if err := j.put(t.Context(), &request{}, e, old); err != nil {
		t.Fatal(err)
	}
	mustClose(t, q)
	q = mustOpen(t, o)
	if got, first := mustBegin(t, q.Journal(), command("c")); first || !got.Started || !got.StartedAt.IsZero() || got.Took != 0 {
		t.Errorf("first %v, %+v", first, got)
	}
	clock.add(2 * time.Hour)
	if _, first := mustBegin(t, q.Journal(), command("c")); !first {
		t.Error("it is kept for ever")
	}
}

// FuzzOpenRecord: what is read of an entry can be written again, and is damage else.
func FuzzOpenRecord(f *testing.F) {
	s, err := newSealer(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"Command":{"ID":"c1","Device":"pump","Action":"set","Args":{"on":true},"Expires":"2026-11-25T00:00:00Z"},"Started":true,"Result":null,"Stamp":"AAAA"}`))
	f.Add([]byte(`{"Command":{"ID":"c1"},"Started":false,"Result":{"command":"c1","status":"done"},"Took":5,"Stamp":"gICAgICAgICAgA=="}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := openRecord(frame{kind: frameJournal, store: "0011aabbccdd", first: 1, payload: payload}, s)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Errorf("%v is no damage", err)
			}
			return
		}
		_ = r.running(stamp{boot: 1, uptime: time.Hour})
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%+v cannot be written: %v", r, err)
		}
	})
}

// TestEntryThatLeftInAFailedWrite: a write that has failed may have removed from disk
// what was to leave with it; the command is new then, and nobody looks for it for ever.
func TestEntryThatLeftInAFailedWrite(t *testing.T) {
	o, broken := onDiskThatFails(t)
	o.JournalEntries = 1
	q := mustOpen(t, o)
	j := q.Journal()
	mustBegin(t, j, command("old"))
	mustFinish(t, j, "old")
	mustBegin(t, j, command("new"))
	broken.Store(true)
	if err := j.Finish(t.Context(), gateway.Result{CommandID: "new", Status: gateway.StatusDone}); !errors.Is(err, unix.EIO) {
		t.Fatalf("%v, want EIO", err)
	}
	broken.Store(false)
	began := make(chan bool, 1)
	go func() {
		_, first, err := j.Begin(t.Context(), command("old"))
		if err != nil {
			t.Error(err)
		}
		began <- first
	}()
	select {
	case first := <-began:
		if !first {
			t.Error("it is known, and was to leave")
		}
	case <-time.After(time.Minute):
		t.Fatal("the journal looks for it for ever")
	}
	mustFinish(t, j, "new")
	mustFinish(t, j, "old")
	if got := walk(t, j); !slices.Equal(got, []string{"old"}) {
		t.Errorf("the journal holds %v", got)
	}
}

// TestEntryWhileTheEngineIsDown: that passes, unlike damage.
func TestEntryWhileTheEngineIsDown(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	mustBegin(t, q.Journal(), command("c"))
	q.engine.down.Store(true)
	if _, _, err := q.Journal().Entry(t.Context(), "c"); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("%v, want gateway.ErrUnavailable", err)
	}
	q.engine.down.Store(false)
	if _, found, err := q.Journal().Entry(t.Context(), "c"); !found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
}

// TestCommandWhoseEndWasNotRecorded: a write of a final state that has failed may be on
// disk; but its message is not, once the lanes have gone on. So it must not count after
// a power cut.
func TestCommandWhoseEndWasNotRecorded(t *testing.T) {
	o, broken := onDiskThatFails(t)
	q := mustOpen(t, o)
	j := q.Journal()
	mustBegin(t, j, command("c"))
	if err := j.Start(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	result := msg(gateway.LaneAlerts, "the result")
	broken.Store(true)
	for range 2 { // the second time it reads what the first may have left
		if err := j.Finish(t.Context(), gateway.Result{CommandID: "c", Status: gateway.StatusDone}, result); !errors.Is(err, unix.EIO) {
			t.Fatalf("%v, want EIO", err)
		}
	}
	broken.Store(false)
	mustAppend(t, q, msg(gateway.LaneTelemetry, "another message"))
	// What is read is what a cut would leave: the append has come to the disk.
	if e, found, err := j.Entry(t.Context(), "c"); err != nil || !found || !e.Started || e.Result != nil {
		t.Errorf("on record is %+v, %v; want the command, begun", e, err)
	}
	mustClose(t, q)
	q = mustOpen(t, o)
	if got := mustPending(t, q.Journal()); len(got) != 1 || !got[0].Started {
		t.Errorf("pending after a restart: %+v; want the command, begun", got)
	}
	mustFinish(t, q.Journal(), "c")
	if got := mustPending(t, q.Journal()); len(got) > 0 {
		t.Errorf("pending in the end: %+v", got)
	}
}
