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
	giveWay := inTheWay(t, o.Dir, "%05d.mem")
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
	giveWay()
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

// TestTablesThatCannotBeMadeHoldNobodyUp: appends are answered, and all goes on
// once tables can be made.
func TestTablesThatCannotBeMadeHoldNobodyUp(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	q := mustOpen(t, o)
	var ids []gateway.MessageID
	add := func() error {
		got, err := q.Append(t.Context(), msg(gateway.LaneTelemetry, noise(100_000)))
		ids = append(ids, got...)
		return err
	}
	giveWay := inTheWay(t, o.Dir, "%06d.sst")
	answered := make(chan error, 1)
	go func() {
		var err error
		for err == nil && len(ids) < 100 {
			err = add()
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		if err == nil {
			t.Error("100 messages were taken although no table could be made")
		}
	case <-time.After(60 * time.Second):
		giveWay()
		t.Fatal("append is not answered")
	}
	giveWay()
	waitFor(t, func() bool { return add() == nil })
	for _, id := range ids {
		if m := mustNextOf(t, q, gateway.LaneTelemetry); m.ID != id {
			t.Fatalf("got %s, want %s", m.ID, id)
		}
	}
}

// TestAnEngineThatCannotBeOpenedIsLeftAloneForAWhile: it leaves files open each
// time that it is tried.
func TestAnEngineThatCannotBeOpenedIsLeftAloneForAWhile(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	q := mustOpen(t, o)
	add := func() error {
		_, err := q.Append(t.Context(), msg(gateway.LaneTelemetry, noise(100_000)))
		return err
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	giveWay := inTheWay(t, o.Dir, "%05d.mem")
	var err error
	for err == nil {
		err = add()
	}
	before := openFiles(t)
	for n := range 400 {
		if err := add(); !errors.Is(err, errEngineDown) {
			t.Fatalf("append %d: %v, want %v", n, err, errEngineDown)
		}
	}
	if n := openFiles(t) - before; n > 40 {
		t.Errorf("%d files were left open", n)
	}
	giveWay()
	waitFor(t, func() bool { return add() == nil })
}

func changed(t *testing.T, path string) unix.Timespec {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ctim
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// inTheWay makes directories where the engine would make its next files, and
// gives the function that removes them.
func inTheWay(t *testing.T, dir, name string) (remove func()) {
	t.Helper()
	var paths []string
	for n := range 200 {
		path := filepath.Join(dir, fmt.Sprintf(name, n+1))
		if os.Mkdir(path, 0o700) == nil {
			paths = append(paths, path)
		}
	}
	return func() {
		for _, path := range paths {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestALogThatIsNearlyFullHasRoomForItsTable: the engine begins with the table
// before it says so.
func TestALogThatIsNearlyFullHasRoomForItsTable(t *testing.T) {
	disk, o := onSmallDisk(t)
	var least atomic.Int64 // what was free when something was written
	least.Store(1 << 40)
	o.step = func(name string) {
		if name != "planned" {
			return
		}
		if free, _ := disk.free(o.Dir); free < least.Load() {
			least.Store(free)
		}
	}
	q := mustOpen(t, o)
	needBallast(t, q)
	var ids []gateway.MessageID
	for range 14 { // more than half a log
		ids = append(ids, mustAppend(t, q, msg(gateway.LaneTelemetry, noise(100_000)))...)
	}
	disk.full(o.Dir)
	commits := q.commits.Load()
	if err := q.Ack(ids[0]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return q.commits.Load() > commits })
	if need := q.engine.guard.taskBytes(); least.Load() < need {
		t.Errorf("%d bytes were free, want %d", least.Load(), need)
	}
	// It gets its ballast back and, while nothing happens, leaves it alone.
	waitTicks := func(n uint64) {
		from := q.ticks.Load()
		waitFor(t, func() bool { return q.ticks.Load() >= from+n })
	}
	waitTicks(2)
	before := changed(t, ballastPath(o.Dir))
	waitTicks(3)
	if after := changed(t, ballastPath(o.Dir)); after != before {
		t.Error("the ballast is changed while nothing happens")
	}
	disk.rest.Store(1 << 40)
}

// TestAnAppendThatBlocksOutlastsAWriteThatWaitsForRoom: its messages are written
// once there is room.
func TestAnAppendThatBlocksOutlastsAWriteThatWaitsForRoom(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	o.Lanes = map[gateway.Lane]LaneOptions{"bulk": {Overflow: Block}}
	var full atomic.Bool // amid a write, until the next is begun
	o.free = func(string) (int64, error) {
		if full.Load() {
			return -1 << 40, nil
		}
		return 1 << 40, nil
	}
	o.step = func(name string) { full.Store(name == "planned") }
	q := mustOpen(t, o)
	var ids []gateway.MessageID
	for range 50 { // two logs
		ids = append(ids, mustAppend(t, q, msg("bulk", noise(100_000)))...)
	}
	full.Store(false)
	waitFor(t, func() bool { return !q.engine.guard.waits() })
	for _, id := range ids {
		if m := mustNextOf(t, q, "bulk"); m.ID != id {
			t.Fatalf("got %s, want %s", m.ID, id)
		}
	}
}

// TestAWriteThatHasItsRoomMayTakeAMoment: as long as it has not ended the disk is what
// it was left for, and an append that blocks waits.
func TestAWriteThatHasItsRoomMayTakeAMoment(t *testing.T) {
	q := mustOpen(t, testOptions(filepath.Join(t.TempDir(), "queue")))
	e := q.engine
	end := make(chan error, 1)
	if err := e.leave(end, errHeld); !errors.Is(err, errHeld) {
		t.Fatal(err)
	}
	if err := e.renew(); !errors.Is(err, errNoRoom) {
		t.Errorf("%v, want that there is no room", err)
	}
	end <- nil
	if err := e.renew(); err != nil {
		t.Errorf("it has ended: %v", err)
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
