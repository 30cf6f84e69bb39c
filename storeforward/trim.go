package storeforward

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// trimEvery is how often the store looks at the memory of its tables while
	// it is at work. An idle store is left alone.
	trimEvery = 50 * time.Millisecond
	// trimAbove is how much mapped memory this process may hold in a burst.
	trimAbove = 24 << 20
	// trimAfter is how long after the last work the memory is looked at, since
	// compactions go on for a while.
	trimAfter = 10 * time.Second
)

// trimmer gives memory back until Close, which waits for it.
func (q *Queue) trimmer() {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	seen, busy, calm := uint64(0), time.Now(), false // opening has read tables
	for {
		select {
		case <-tick.C:
		case <-q.stop:
			return
		}
		if work := q.commits.Load() + q.reads.Load(); work != seen {
			seen, busy, calm = work, time.Now(), false
		}
		rest := time.Since(busy) > trimAfter
		if calm || !rest && mappedBytes() < trimAbove {
			continue
		}
		calm = rest // once more at the end, and then no more
		if err := trim(q.opts.Dir); err != nil {
			q.log.Warn("memory of the store is not given back, more of it is in use than need be", "error", err)
			return
		}
	}
}

// mappedBytes is the memory of this process that files are mapped to: the
// third field of /proc/self/statm (proc(5)), in pages.
func mappedBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total, resident, shared int64
	if n, _ := fmt.Sscan(string(text), &total, &resident, &shared); n < 3 {
		return 0
	}
	return shared * int64(os.Getpagesize())
}

// trim gives back the memory of the engine's tables. The engine maps them, so
// that each page that was written or read stays in the memory of this process
// until the kernel needs it, which on a small board is too late for whoever
// looks at the numbers. The pages are clean or are written by this; the next
// read finds them on disk.
//
// MADV_PAGEOUT leaves the contents alone, unlike MADV_DONTNEED: a table that
// was unmapped since its line was read may have made room for anything.
func trim(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer func() { _ = maps.Close() }()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		first, last, ok := tableMapping(lines.Text(), dir)
		if !ok {
			continue
		}
		_, _, code := unix.Syscall(unix.SYS_MADVISE, first, last-first, unix.MADV_PAGEOUT)
		// ENOMEM: unmapped meanwhile. EINVAL: a kernel before 5.4.
		if code != 0 && !errors.Is(code, unix.ENOMEM) {
			return fmt.Errorf("page out %s: %w", lines.Text(), code)
		}
	}
	return lines.Err()
}

// tableMapping reads a line of /proc/self/maps (proc(5)); ok if it is a table
// below dir.
func tableMapping(line, dir string) (first, last uintptr, ok bool) {
	path := strings.Index(line, "/")
	if path < 0 || filepath.Dir(line[path:]) != dir || !strings.HasSuffix(line, ".sst") {
		return 0, 0, false
	}
	n, err := fmt.Sscanf(line, "%x-%x", &first, &last)
	return first, last, err == nil && n == 2 && last > first
}
