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

// TestTheBallastOpensAStoreOnAFullDisk that somebody else has filled, so that
// it can be drained.
func TestTheBallastOpensAStoreOnAFullDisk(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	var free atomic.Int64
	free.Store(1 << 40)
	o.free = func(dir string) (int64, error) {
		n := free.Load()
		if _, err := os.Stat(ballastPath(dir)); err != nil && n < MinMinFree {
			n += ballastBytes // it was given up
		}
		return n, nil
	}
	q := mustOpen(t, o)
	id := mustAppend(t, q, msg(gateway.LaneTelemetry, "kept"))[0]
	q.keepBallast(free.Load())
	var st unix.Stat_t
	if err := unix.Stat(ballastPath(o.Dir), &st); err != nil || st.Blocks*512 < ballastBytes {
		t.Skipf("this file system does not set space aside: %d bytes, %v", st.Blocks*512, err)
	}
	mustClose(t, q)
	free.Store(0)
	q = mustOpen(t, o)
	if _, err := os.Stat(ballastPath(o.Dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ballast is still there: %v", err)
	}
	if m := mustNext(t, q); m.ID != id {
		t.Errorf("got %s, want %s", m.ID, id)
	}
	q.keepBallast(o.MinFree + 2*ballastBytes - 1)
	if _, err := os.Stat(ballastPath(o.Dir)); err == nil {
		t.Error("ballast was taken on while there was little room")
	}
}
