package storeforward

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// syncSpy notes which files are synced.
type syncSpy struct {
	mu    sync.Mutex
	names []string
}

func (s *syncSpy) sync(fd int) error {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.names = append(s.names, filepath.Base(path))
	s.mu.Unlock()
	return unix.Fdatasync(fd)
}

// take returns the names noted since the last call.
func (s *syncSpy) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.names
	s.names = nil
	return names
}

// TestEachLogIsSyncedUntilItIsComplete: the newest each time, one before it
// once more, none that is gone.
func TestEachLogIsSyncedUntilItIsComplete(t *testing.T) {
	dir, spy := t.TempDir(), &syncSpy{}
	s := syncer{dir: dir, data: spy.sync}
	defer s.close()
	create := func(n int) {
		if err := os.WriteFile(filepath.Join(dir, memLogName(n)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(n int) {
		if err := os.Remove(filepath.Join(dir, memLogName(n))); err != nil {
			t.Fatal(err)
		}
	}
	want := func(names ...string) {
		t.Helper()
		if err := s.sync(); err != nil {
			t.Fatal(err)
		}
		if got := spy.take(); !slices.Equal(got, names) {
			t.Errorf("synced %q, want %q", got, names)
		}
	}
	create(99_999)
	create(3)
	want("00003.mem", "99999.mem")
	want("99999.mem")
	create(100_000)
	want("99999.mem", "100000.mem")
	want("100000.mem")
	// A prefix is dropped: logs begin and go, and numbers are passed over.
	remove(3)
	remove(100_000)
	create(100_002)
	s.relist()
	want("100002.mem")
	create(100_003)
	want("100002.mem", "100003.mem")
	// The engine is opened anew.
	s.close()
	create(7)
	want("00007.mem", "99999.mem", "100002.mem", "100003.mem")
}

// TestTheLogThatIsWrittenIsSynced, also after the engine has begun a new one
// because it was full, because space was reclaimed, or because it was opened
// again.
func TestTheLogThatIsWrittenIsSynced(t *testing.T) {
	o, spy := testOptions(t.TempDir()), &syncSpy{}
	o.Lanes = map[gateway.Lane]LaneOptions{"bulk": {}}
	var broken atomic.Bool
	o.datasync = func(fd int) error {
		if broken.Swap(false) {
			return unix.EIO
		}
		return spy.sync(fd)
	}
	q := mustOpen(t, o)
	seen := make(map[string]bool)
	check := func() {
		t.Helper()
		spy.take()
		mustAppend(t, q, msg(gateway.LaneAlerts, "x"))
		logs, err := filepath.Glob(filepath.Join(o.Dir, "*.mem"))
		if err != nil || len(logs) == 0 {
			t.Fatal(logs, err)
		}
		slices.Sort(logs)
		newest := filepath.Base(logs[len(logs)-1])
		if got := spy.take(); !slices.Contains(got, newest) {
			t.Errorf("synced %q, without %s", got, newest)
		}
		seen[newest] = true
	}
	check()
	for range 7 { // each time more than a log holds
		if _, err := fill(t, q, gateway.LaneTelemetry, 4600); err != nil {
			t.Fatal(err)
		}
		check()
	}
	both := []gateway.Lane{gateway.LaneTelemetry, "bulk"}
	for range 3 { // each lane is dropped on its own, without a commit between
		for _, lane := range both {
			if _, err := fill(t, q, lane, 400); err != nil {
				t.Fatal(err)
			}
		}
		drain(t, q)
		waitFor(t, func() bool { return laneStats(t, q, both[0]).Bytes+laneStats(t, q, both[1]).Bytes == 0 })
		check()
	}
	broken.Store(true)
	if _, err := q.Append(t.Context(), msg(gateway.LaneAlerts, "x")); err == nil {
		t.Fatal("appended although the sync failed")
	}
	check()
	if len(seen) < 4 {
		t.Errorf("only the logs %v", seen)
	}
}

// drain acknowledges everything that waits.
func drain(t *testing.T, q *Queue) {
	t.Helper()
	waits := func(l LaneStats) bool { return l.Waiting > 0 }
	for slices.ContainsFunc(q.Stats().Lanes, waits) {
		if err := q.Ack(mustNext(t, q).ID); err != nil {
			t.Fatal(err)
		}
	}
}
