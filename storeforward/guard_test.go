package storeforward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// ear writes down which sentences of the engine the guard gets to hear.
type ear struct {
	*guard
	mu    sync.Mutex
	heard map[string]int
}

func (e *ear) note(format string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, says := range []string{saysTable, saysCompacted, saysDropped, saysFlush, saysNextLog, saysFlushFails} {
		if strings.HasPrefix(format, says) {
			e.heard[says]++
		}
	}
}

func (e *ear) count(says string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard[says]
}

func (e *ear) Debugf(f string, v ...any) { e.note(f); e.guard.Debugf(f, v...) }
func (e *ear) Infof(f string, v ...any)  { e.note(f); e.guard.Infof(f, v...) }
func (e *ear) Errorf(f string, v ...any) { e.note(f); e.guard.Errorf(f, v...) }

// TestTheGuardHearsTheEngine say each sentence that it listens for.
func TestTheGuardHearsTheEngine(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	o.Log = slog.New(slog.DiscardHandler)
	o.free = func(string) (int64, error) { return 1 << 40, nil }
	e := &ear{guard: newGuard(o), heard: make(map[string]int)}
	db, err := badger.Open(engineOptions(o).WithLogger(e))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	written := 0
	write := func() error {
		written++
		return db.Update(func(txn *badger.Txn) error {
			return txn.Set(fmt.Appendf(nil, "%c%06d", 'a'+rune(written%4), written), []byte(noise(40_000)))
		})
	}
	mustHear := func(says string, meanwhile func()) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); e.count(says) == 0; {
			if time.Now().After(deadline) {
				t.Fatalf("the engine does not say %q", says)
			}
			meanwhile()
		}
	}
	writeOn := func() {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	wait := func() { time.Sleep(10 * time.Millisecond) }
	mustHear(saysNextLog, writeOn)
	mustHear(saysTable, writeOn)
	mustHear(saysCompacted, wait)
	mustHear(saysDropped, func() {
		if err := db.DropPrefix([]byte("a")); err != nil {
			t.Fatal(err)
		}
	})
	// Without their directory, tables cannot be made.
	hidden := o.Dir + ".hidden"
	if err := os.Rename(o.Dir, hidden); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until a new log is due
		err = write()
	}
	mustHear(saysFlushFails, wait)
	if err := os.Rename(hidden, o.Dir); err != nil {
		t.Fatal(err)
	}
	if e.count(saysFlush) == e.count(saysNextLog) {
		t.Errorf("the engine does not say %q before a drop", saysFlush)
	}
}

// TestACompactionWaitsForRoom: it makes no table meanwhile, nothing is accepted,
// and it goes on by itself.
func TestACompactionWaitsForRoom(t *testing.T) {
	disk, o := onSmallDisk(t)
	o.epochBytes = 512 << 10
	q := mustOpen(t, o)
	g := q.engine.guard
	held := func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.held > 0 }
	var ids []gateway.MessageID
	add := func() error {
		got, err := q.Append(t.Context(), msg(gateway.LaneTelemetry, noise(100_000)))
		ids = append(ids, got...)
		return err
	}
	for len(ids) < 40 { // two tables and more
		if err := add(); err != nil {
			t.Fatal(err)
		}
	}
	disk.rest.Store(-1 << 40) // what the engine does from now on is held
	done := make(chan struct{})
	go func() { defer close(done); g.await() }()
	waitFor(t, held)
	if err := add(); !errors.Is(err, gateway.ErrFull) || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("%v, want ErrFull", err)
	}
	disk.rest.Store(1 << 40)
	<-done
	waitFor(t, func() bool { return !held() })
	if err := add(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if m := mustNext(t, q); m.ID != id {
			t.Fatalf("got %s, want %s", m.ID, id)
		}
	}
}

// TestTheLogHasItsBlocks before anything is written to it.
func TestTheLogHasItsBlocks(t *testing.T) {
	q := mustOpen(t, testOptions(filepath.Join(t.TempDir(), "queue")))
	needBallast(t, q)
	seen := make(map[string]bool)
	for range 40 {
		logs, err := filepath.Glob(filepath.Join(q.opts.Dir, "*.mem"))
		if err != nil || len(logs) == 0 {
			t.Fatal(logs, err)
		}
		last := logs[len(logs)-1]
		seen[last] = true
		var st unix.Stat_t
		if err := unix.Stat(last, &st); err == nil && st.Blocks*512 < logBytes {
			t.Fatalf("%s has %d bytes of %d", last, st.Blocks*512, logBytes)
		}
		mustAppend(t, q, msg(gateway.LaneTelemetry, noise(200_000)))
	}
	if len(seen) < 3 {
		t.Errorf("only %d logs", len(seen))
	}
}

// TestALogThatCannotBeBegunIsNoDamage: the engine is down until it can.
func TestALogThatCannotBeBegunIsNoDamage(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	q := mustOpen(t, o)
	var ids []gateway.MessageID
	add := func() error {
		got, err := q.Append(t.Context(), msg(gateway.LaneTelemetry, noise(100_000)))
		ids = append(ids, got...)
		return err
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	// Where the next logs would be there are directories.
	var inTheWay []string
	for n := range 50 {
		path := filepath.Join(o.Dir, fmt.Sprintf("%05d.mem", n+1))
		if os.Mkdir(path, 0o700) == nil {
			inTheWay = append(inTheWay, path)
		}
	}
	var err error
	for err == nil && len(ids) < 100 {
		err = add()
	}
	if err == nil {
		t.Fatal("a log was begun although there was none to be had")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for range 3 {
		if m, err := q.Next(ctx); err == nil && m.ID.Lane != gateway.LaneTelemetry {
			t.Errorf("got %s: a gap that is none", m.ID)
		}
	}
	for _, path := range inTheWay {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return add() == nil })
	q.Rewind()
	for _, id := range ids {
		if m := mustNextOf(t, q, gateway.LaneTelemetry); m.ID != id {
			t.Fatalf("got %s, want %s", m.ID, id)
		}
	}
	if gaps := toldGaps(t, q); len(gaps) > 0 {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestAStopOnAFullDiskEnds, and loses nothing.
func TestAStopOnAFullDiskEnds(t *testing.T) {
	disk, o := onSmallDisk(t)
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	id := mustAppend(t, q, msg(gateway.LaneTelemetry, "kept"))[0]
	disk.rest.Store(-1 << 40)
	if err := q.Close(); !errors.Is(err, errNotClosed) {
		t.Errorf("%v, want %v", err, errNotClosed)
	}
	disk.rest.Store(1 << 40) // it ends in the background
	waitFor(t, func() bool {
		q, err = Open(o)
		return !errors.Is(err, ErrLocked)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, q)
	if m := mustNext(t, q); m.ID != id {
		t.Errorf("got %s, want %s", m.ID, id)
	}
}

// heldUp is a queue whose engine waits for room amid a drop: others have taken
// what there was when it was begun. In plenty is how often there will be plenty;
// ids wait.
func heldUp(t *testing.T) (q *Queue, plenty *atomic.Int64, ids []gateway.MessageID) {
	t.Helper()
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	o.epochBytes = 64 << 10
	plenty = new(atomic.Int64)
	plenty.Store(1 << 40)
	o.free = func(string) (int64, error) {
		if plenty.Add(-1) < 0 {
			return -1 << 40, nil
		}
		return 1 << 40, nil
	}
	o.step = func(name string) {
		if name == "drop" && plenty.Load() > 1<<39 {
			plenty.Store(1)
		}
	}
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		ids = append(ids, mustAppend(t, q, msg(gateway.LaneTelemetry, noise(50_000)))...)
	}
	if err := q.Ack(ids[:2]...); err != nil {
		t.Fatal(err)
	}
	waitFor(t, q.engine.down.Load)
	return q, plenty, ids[2:]
}

// TestAWriteThatWaitsForRoomHoldsNobodyUp: what is asked of the queue is refused,
// and all goes on once there is room.
func TestAWriteThatWaitsForRoomHoldsNobodyUp(t *testing.T) {
	q, plenty, ids := heldUp(t)
	defer func() { mustClose(t, q) }()
	if _, err := q.Append(t.Context(), msg(gateway.LaneTelemetry, "x")); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("append: %v, want ErrFull", err)
	}
	if _, err := q.List(gateway.LaneTelemetry, 0, 10); !errors.Is(err, errEngineDown) {
		t.Errorf("list: %v, want %v", err, errEngineDown)
	}
	plenty.Store(1 << 38)
	waitFor(t, func() bool {
		_, err := q.Append(t.Context(), msg(gateway.LaneTelemetry, "again"))
		return err == nil
	})
	for _, id := range ids {
		if m := mustNextOf(t, q, gateway.LaneTelemetry); m.ID != id {
			t.Errorf("got %s, want %s", m.ID, id)
		}
	}
	if gaps := toldGaps(t, q); len(gaps) > 0 {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestAStopAmidAWriteThatWaitsForRoomEnds, and loses nothing.
func TestAStopAmidAWriteThatWaitsForRoomEnds(t *testing.T) {
	q, plenty, ids := heldUp(t)
	if err := q.Close(); !errors.Is(err, errNotClosed) {
		t.Errorf("%v, want %v", err, errNotClosed)
	}
	plenty.Store(1 << 38) // it ends in the background
	opts := q.opts
	var err error
	waitFor(t, func() bool {
		q, err = Open(opts)
		return !errors.Is(err, ErrLocked)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, q)
	for _, id := range ids {
		if m := mustNextOf(t, q, gateway.LaneTelemetry); m.ID != id {
			t.Errorf("got %s, want %s", m.ID, id)
		}
	}
}
