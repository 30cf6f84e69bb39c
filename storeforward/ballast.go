package storeforward

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ballastBytes is set aside beside the store. What others fill the disk with
// does not get at it, so that the engine can end what it has begun, and a store
// on a full disk can be opened and drained.
const ballastBytes = hardFree + 8<<20

func ballastPath(dir string) string { return dir + ".ballast" }

// ballast is a file of which nothing is used but its blocks. They are reserved,
// not written. A file system that cannot do that goes without, and so does a
// store that is a file system of its own.
type ballast struct{ path string }

// size is what lies in the ballast for the store in dir.
func (b ballast) size(dir string) int64 {
	var st, of unix.Stat_t
	if unix.Stat(b.path, &st) != nil || unix.Stat(dir, &of) != nil || st.Dev != of.Dev {
		return 0
	}
	return min(st.Size, st.Blocks*512)
}

// lend gives n bytes up, or what there is.
func (b ballast) lend(n int64) {
	f, err := os.OpenFile(b.path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // nothing was written
	if info, err := f.Stat(); err == nil && f.Truncate(max(0, info.Size()-n)) == nil {
		_ = f.Sync() // until then ext4 does not give the blocks to others
	}
}

// fill makes the ballast whole. If it was given up in part, all that is free
// belongs into it; else minFree must remain.
func (b ballast) fill(dir string, free, minFree int64) {
	info, err := os.Stat(b.path)
	lent := err == nil
	var size int64
	if lent {
		size = info.Size()
	}
	lacking := ballastBytes - size
	if lacking <= 0 {
		return
	}
	if !lent && free < minFree+ballastBytes {
		return
	}
	if lent && free < minFree+lacking {
		lacking = min(lacking, free-1<<20) // for those who need a little
	}
	if lacking <= 0 || !sameDevice(filepath.Dir(b.path), dir) {
		return
	}
	f, err := os.OpenFile(b.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	if unix.Fallocate(int(f.Fd()), 0, size, lacking) == nil {
		return
	}
	_ = f.Truncate(size)
	if !lent {
		_ = os.Remove(b.path)
	}
}

func sameDevice(a, b string) bool {
	var of, with unix.Stat_t
	return unix.Stat(a, &of) == nil && unix.Stat(b, &with) == nil && of.Dev == with.Dev
}
