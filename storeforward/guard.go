package storeforward

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// guard keeps the engine alive on a full disk. The engine maps each file that
// it makes into memory before the file has blocks, so that the kernel kills the
// process if the disk has none left; and a table that a compaction cannot make
// is missing from then on, without a word, while those that it was made of are
// deleted. So the engine must not begin what there is no room for. It asks
// nobody; but it says in its log what it is about to do, and goes on when the
// log has taken that. The guard is that log. It makes room, if need be of the
// ballast, or keeps the engine waiting until there is some.
type guard struct {
	engineLog
	dir     string
	free    func(dir string) (int64, error)
	ballast ballast

	mu sync.Mutex
	// compacting are the compactors that are making tables, by their number.
	compacting map[int]bool
	held       int  // goroutines of the engine that wait for room
	failing    bool // a memtable cannot be written to a table
}

func newGuard(o Options) *guard {
	return &guard{
		engineLog: engineLog{o.Log}, dir: o.Dir, free: o.free,
		ballast: ballast{ballastPath(o.Dir)}, compacting: make(map[int]bool),
	}
}

// What the engine says, as far as the guard listens. TestTheGuardHearsTheEngine
// fails if a newer engine words it otherwise.
const (
	saysTable      = "[%d] LOG Compact. Added %d keys."              // and makes a table of them
	saysCompacted  = "[Compactor: %d] Compaction for level: %d DONE" // by this compactor
	saysDropped    = "DropPrefix done"
	saysFlush      = "Flushing memtable"      // and has begun a table of it: see engine.secured
	saysNextLog    = "Flushing memtable, mt." // and begins a new log first
	saysFlushFails = "error flushing memtable to disk"
)

// Debugf hears what the engine is going to do next.
func (g *guard) Debugf(format string, v ...any) {
	switch {
	case strings.HasPrefix(format, saysTable):
		if keys, ok := v[1].(uint64); ok && keys == 0 {
			return
		}
		g.compacts(v[0], true)
		g.await()
	case strings.HasPrefix(format, saysCompacted):
		g.compacts(v[0], false)
	case strings.HasPrefix(format, saysFlush):
		g.await()
		if strings.HasPrefix(format, saysNextLog) {
			g.layNextLog()
		}
	}
}

// Infof hears the end of a drop, whose compactions say nothing at their end;
// while it lasts there are no others.
func (g *guard) Infof(format string, v ...any) {
	if strings.HasPrefix(format, saysDropped) {
		g.mu.Lock()
		clear(g.compacting)
		g.mu.Unlock()
	}
	g.engineLog.Infof(format, v...)
}

// Errorf hears that a memtable was not written, which the engine tries again,
// without end.
func (g *guard) Errorf(format string, v ...any) {
	if strings.HasPrefix(format, saysFlushFails) {
		g.mu.Lock()
		g.failing = true
		g.mu.Unlock()
	}
	g.engineLog.Errorf(format, v...)
}

func (g *guard) compacts(compactor any, on bool) {
	n, _ := compactor.(int)
	g.mu.Lock()
	defer g.mu.Unlock()
	if on {
		g.compacting[n] = true
	} else {
		delete(g.compacting, n)
	}
}

// awaitEvery is how often a goroutine of the engine looks whether it has room.
const awaitEvery = 100 * time.Millisecond

// await returns when there is room for a table.
func (g *guard) await() {
	if g.room(g.taskBytes()) {
		return
	}
	g.hold(1)
	defer g.hold(-1)
	g.log.Warn("store engine waits for room on the disk", "dir", g.dir, "needs_bytes", g.taskBytes())
	for !g.room(g.taskBytes()) {
		time.Sleep(awaitEvery)
	}
}

// forget is called before the database is opened anew.
func (g *guard) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.compacting)
	g.failing = false
}

func (g *guard) hold(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += n
}

// waits reports whether something waits for room.
func (g *guard) waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held > 0
}

// stuck reports whether something of the engine does not come to its end.
func (g *guard) stuck() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held > 0 || g.failing
}

// slackBytes is needed beside a table: for the logs, the manifest, and a second
// table that is made at the same time.
const slackBytes = 8 << 20

// taskBytes is what must be free before the engine makes a table: the largest
// that it makes, which grows with the store, and slack. The engine doubles the
// size of tables with each level of the tree above which the level is full.
func (g *guard) taskBytes() int64 {
	tables, err := filepath.Glob(filepath.Join(g.dir, "*.sst"))
	if err != nil {
		return slackBytes
	}
	var total int64
	for _, path := range tables {
		if info, err := os.Stat(path); err == nil {
			total += info.Size()
		}
	}
	largest := int64(memTableBytes)
	for level := total; level > baseLevelBytes; level /= 10 {
		largest *= 2
	}
	return largest + slackBytes
}

// room reports whether n bytes are free for what the engine does next. It takes
// what is lacking from the ballast, if that has as much.
func (g *guard) room(n int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	free, err := g.free(g.dir)
	if err != nil || free >= n {
		return err == nil
	}
	if free+g.ballast.size(g.dir) < n {
		return false
	}
	g.ballast.lend(n - free + slackBytes)
	free, err = g.free(g.dir)
	return err == nil && free >= n
}

// ready reports whether the engine may be given anything to write now. Others
// may take what is free before the engine has it, but not the ballast.
func (g *guard) ready(free int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held == 0 && (free >= hardFree || free+g.ballast.size(g.dir) >= hardFree)
}

// settle takes back what was lent, once the engine has done what it was lent
// for, and takes the ballast on where there is plenty of room: minFree remains.
func (g *guard) settle(free, minFree int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.compacting) > 0 || g.held > 0 {
		return
	}
	if logs, err := filepath.Glob(filepath.Join(g.dir, "*"+memLogSuffix)); err != nil || len(logs) > 1 {
		return // a table is being made of one
	}
	g.ballast.fill(g.dir, free, minFree)
}

// layNextLog makes the file of the engine's next log, with its blocks and still
// of no size, which the engine takes for one that it has made. The engine counts
// its logs up.
func (g *guard) layNextLog() {
	last := 0
	logs, _ := filepath.Glob(filepath.Join(g.dir, "*"+memLogSuffix)) // the pattern is good
	for _, path := range logs {
		if n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), memLogSuffix)); err == nil {
			last = max(last, n)
		}
	}
	path := filepath.Join(g.dir, memLogName(last+1))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return // the engine will say what is the matter
	}
	if err := errors.Join(layOut(int(f.Fd())), f.Close()); err != nil {
		_ = os.Remove(path)
	}
}

// logBytes is the most that a log takes: the engine begins a new one when a
// memtable is full, and a transaction is at most 15 % of that.
const logBytes = memTableBytes * 5 / 4

// layOut gives the file of a log the blocks that it will need, without writing
// them. A file system that cannot do that goes without.
func layOut(fd int) error {
	err := unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, logBytes)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}
