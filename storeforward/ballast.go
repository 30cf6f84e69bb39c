package storeforward

import (
	"os"

	"golang.org/x/sys/unix"
)

// ballastBytes is set aside beside the store, so that a store on a disk that
// somebody else has filled can still be opened and drained.
const ballastBytes = MinMinFree + 8<<20

func ballastPath(dir string) string { return dir + ".ballast" }

// dropBallast makes room; it reports whether there was any to make.
func dropBallast(dir string) bool { return os.Remove(ballastPath(dir)) == nil }

// keepBallast sets the ballast aside if there is plenty of room. Its blocks are
// only reserved, not written. A file system that cannot do that goes without.
func (q *Queue) keepBallast(free int64) {
	path := ballastPath(q.opts.Dir)
	if free < q.opts.MinFree+2*ballastBytes {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return // it is there
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, ballastBytes); err != nil {
		_ = os.Remove(path)
	}
	_ = f.Close()
}
