package storeforward

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// smallDisk tells how much would be free on a disk that has a ballast and that
// somebody else fills.
type smallDisk struct{ rest atomic.Int64 }

func (s *smallDisk) free(dir string) (int64, error) {
	b := ballast{ballastPath(dir)}
	return s.rest.Load() - b.size(dir), nil
}

// full leaves the ballast alone.
func (s *smallDisk) full(dir string) {
	b := ballast{ballastPath(dir)}
	s.rest.Store(b.size(dir))
}

func onSmallDisk(t *testing.T) (*smallDisk, Options) {
	t.Helper()
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	s := &smallDisk{}
	s.rest.Store(1 << 40)
	o.free = s.free
	return s, o
}

// needFallocate skips a test on a file system that cannot set space aside, where
// a store does without a ballast.
func needFallocate(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "try"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	defer func() { _ = os.Remove(f.Name()) }()
	switch err := unix.Fallocate(int(f.Fd()), 0, 0, 1<<20); {
	case errors.Is(err, unix.EOPNOTSUPP):
		t.Skip("the file system of the temporary directory has no fallocate: there is no ballast to test")
	case err != nil:
		t.Fatal(err)
	}
}

// needBallast waits until the store has its ballast.
func needBallast(t *testing.T, q *Queue) {
	t.Helper()
	needFallocate(t, q.opts.Dir)
	waitFor(t, func() bool { return q.ballastBytes() >= ballastBytes })
}

func (q *Queue) ballastBytes() int64 { return q.engine.guard.ballast.size(q.opts.Dir) }

// TestTheBallastOpensAStoreOnAFullDisk that somebody else has filled, so that
// it can be drained; then it is taken back.
func TestTheBallastOpensAStoreOnAFullDisk(t *testing.T) {
	disk, o := onSmallDisk(t)
	q := mustOpen(t, o)
	id := mustAppend(t, q, msg(gateway.LaneTelemetry, "kept"))[0]
	needBallast(t, q)
	mustClose(t, q)
	disk.full(o.Dir)
	q = mustOpen(t, o)
	if m := mustNext(t, q); m.ID != id {
		t.Errorf("got %s, want %s", m.ID, id)
	}
	commits := q.Stats().Commits
	if err := q.Ack(id); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return q.Stats().Commits > commits })
	waitFor(t, func() bool { return q.ballastBytes() > ballastBytes-4<<20 })
}

// TestTheBallastIsOnlyTakenOnWhereThereIsRoom: what is to stay free stays free.
func TestTheBallastIsOnlyTakenOnWhereThereIsRoom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	needFallocate(t, dir)
	b := ballast{ballastPath(dir)}
	b.fill(dir, MinMinFree+ballastBytes-1, MinMinFree)
	if _, err := os.Stat(b.path); err == nil {
		t.Error("ballast was taken on while there was little room")
	}
	b.fill(dir, MinMinFree+ballastBytes, MinMinFree)
	if n := b.size(dir); n != ballastBytes {
		t.Errorf("ballast of %d bytes, want %d", n, ballastBytes)
	}
	b.lend(10 << 20)
	if n := b.size(dir); n != ballastBytes-10<<20 {
		t.Errorf("%d bytes left of %d after 10 MiB were lent", n, ballastBytes)
	}
	b.fill(dir, 6<<20, MinMinFree)
	if n := b.size(dir); n != ballastBytes-5<<20 {
		t.Errorf("%d bytes of %d after 6 MiB were free again, want all but 5", n, ballastBytes)
	}
	b.lend(1 << 40)
	if n := b.size(dir); n != 0 {
		t.Errorf("%d bytes left after all were lent", n)
	}
}
