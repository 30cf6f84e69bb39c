package storeforward

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// engine is the open database. Goroutines may read while the committer writes.
type engine struct {
	opts  badger.Options
	guard *guard

	mu sync.RWMutex // held for writing while the database is opened anew
	db *badger.DB   // nil if that failed
	// closing gets what the database says when it is closed; nil if it is not
	// being closed.
	closing chan error
	// version is that of the last transaction.
	version uint64

	logs syncer
	// filled bounds from below what has been written to the log of number newest,
	// in bytes. Only who writes looks at them.
	filled, newest int

	// writing is held while something is written. failed: that went wrong, and
	// the database is good for nothing before it is opened anew.
	writing sync.Mutex
	failed  bool
	// left gets the end of a write that was not waited for, for the reason leftFor;
	// only who writes looks at them. down: there is one, and the database does not
	// answer.
	left    chan error
	leftFor error
	down    atomic.Bool
	// Opening anew went wrong for the reason why; it is tried after pause again,
	// at the time next.
	why   error
	pause time.Duration
	next  time.Time
}

// engineOptions make Badger small: values stay in the tree, so that the value
// log is never used; nothing is cached, since tables are mapped and not
// compressed; a block holds the largest record, so that it is not moved while
// it is built. The engine does not sync: see syncer.
func engineOptions(opts Options) badger.Options {
	o := badger.DefaultOptions(opts.Dir).
		WithSyncWrites(false).
		WithMemTableSize(memTableBytes).
		WithNumMemtables(1).
		WithBaseTableSize(memTableBytes).
		WithBaseLevelSize(baseLevelBytes).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(4).
		WithNumCompactors(2).
		WithBlockSize(blockBytes).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithValueThreshold(memTableBytes * 14 / 100).
		WithValueLogFileSize(1 << 20).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithNumGoroutines(1).
		WithLogger(engineLog{opts.Log})
	if narrow {
		o = oneBuffer(o)
	}
	return o
}

func openEngine(o Options) (*engine, error) {
	g := newGuard(o)
	opts := engineOptions(o).WithLogger(g)
	e := &engine{opts: opts, guard: g, logs: syncer{dir: opts.Dir, data: o.datasync}}
	return e, e.open()
}

// open opens the database. The engine leaves the versions of transactions to
// this package: there is one writer, and the engine's own way to count hands
// each number to two more goroutines, twice a transaction.
func (e *engine) open() error {
	db, err := openBadger(e.opts)
	if err != nil {
		return err
	}
	e.db, e.version, e.failed = db, db.MaxVersion(), false
	e.down.Store(false)
	db.SetDiscardTs(e.version)
	return nil
}

// errEngineDown: the database could not be opened again after an error.
var errEngineDown = errors.New("the store's files cannot be opened again")

// view reads. What the engine panics on while it reads is damage, unless a write
// has failed: without a log that it could begin, it panics on each read.
func (e *engine) view(read func(*badger.Txn) error) (err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil || e.down.Load() {
		return errEngineDown
	}
	defer func() {
		if p := recover(); p == nil {
			return
		} else if e.broken() { // which waits for the write to end
			err = errEngineDown
		} else {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return e.db.View(read)
}

// update writes one transaction, of so many bytes, and returns nil when it is on
// disk. After an error it is open whether it is; renew must be called before the
// next. One goroutine calls it at a time.
func (e *engine) update(size int, write func(*badger.Txn) error) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	err := e.change(func(db *badger.DB) error {
		txn := db.NewTransactionAt(e.version, true)
		defer txn.Discard()
		if err := write(txn); err != nil {
			return err
		}
		e.version++
		if err := txn.CommitAt(e.version, nil); err != nil {
			return err
		}
		db.SetDiscardTs(e.version) // older versions of a key are not read any more
		return e.logs.sync()
	})
	if err == nil {
		e.fill(size)
	}
	return err
}

// fill notes that so many bytes went to the newest log.
func (e *engine) fill(size int) {
	if n := e.logs.newest(); n != e.newest {
		e.newest, e.filled = n, 0
	}
	e.filled += size
}

// dropPrefix removes all keys that begin so. After an error renew must be
// called. Nobody reads meanwhile: the database would let them wait as long as it
// waits itself.
func (e *engine) dropPrefix(prefixes ...[]byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.change(func(db *badger.DB) error {
		defer e.logs.relist() // it has begun new logs
		if err := db.DropPrefix(prefixes...); err != nil {
			return err
		}
		if narrow {
			return checkLevelZero(db)
		}
		return nil
	})
}

func (e *engine) change(write func(*badger.DB) error) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if e.db == nil || e.failed {
		return errEngineDown
	}
	err := e.attempt(write)
	e.failed = err != nil
	return err
}

// Why a write is not waited for, which is in doubt from then on.
var (
	// errHeld: the engine waits for room on the disk.
	errHeld = fmt.Errorf("the disk is full; delete files there: %w", errNoRoom)
	// errStuck: it tries the same again and again.
	errStuck = errors.New("the engine cannot make tables of what it has in memory")
)

// attempt waits for a write, but not for room on the disk, nor for a table that
// cannot be made: nobody would be answered meanwhile.
func (e *engine) attempt(write func(*badger.DB) error) error {
	done, db, begun := make(chan error, 1), e.db, time.Now()
	go func() { done <- write(db) }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(awaitEvery):
		}
		switch {
		case e.guard.waits():
			return e.leave(done, errHeld)
		case e.guard.stuck() && time.Since(begun) > closePatience:
			return e.leave(done, errStuck)
		}
	}
}

// leave lets go of a write that is not waited for.
func (e *engine) leave(done chan error, why error) error {
	e.left, e.leftFor = done, why
	e.down.Store(true)
	return why
}

// ended reports whether no write is under way any more that was not waited for.
func (e *engine) ended(patience time.Duration) bool {
	if e.left == nil {
		return true
	}
	select {
	case <-e.left: //nolint:errcheck // however it ended, it is in doubt
		e.left = nil
		return true
	case <-time.After(patience):
		return false
	}
}

// broken reports whether renew must be called.
func (e *engine) broken() bool {
	e.writing.Lock()
	defer e.writing.Unlock()
	return e.failed
}

// secured sees to it that the log that is written to has all its blocks, and
// that there is room for the table that is made of it once it is full; it reports
// whether that is so. A page that the disk has no block for would kill the
// process, and the engine begins with such a table before it says so.
func (e *engine) secured() bool {
	laid := e.logs.laidOut() || e.guard.room(logBytes) && e.logs.laidOut()
	if !laid {
		return false
	}
	e.fill(0) // the log may be a new one
	return e.filled < memTableBytes/2 || e.guard.room(e.guard.taskBytes())
}

// renew closes and opens the database: after a sync that failed, the kernel
// takes pages for written that are not, and nothing may be appended to a log
// behind them. Closing writes what is in memory to new tables.
func (e *engine) renew() error {
	if !e.ended(awaitEvery) {
		return e.unended()
	}
	if time.Now().Before(e.next) {
		return e.why
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if need := e.guard.taskBytes() + slackBytes; !e.guard.room(need) {
		return fmt.Errorf("disk full: %s must have %d MB free; delete files there", e.opts.Dir, need/1e6)
	}
	if err := e.shut(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := removeUnborn(e.opts.Dir); err != nil {
		return err
	}
	e.guard.forget()
	if err := e.open(); err != nil {
		// Each time it leaves files open.
		e.pause = min(max(2*e.pause, awaitEvery), longestPause)
		e.why, e.next = fmt.Errorf("open: %w", err), time.Now().Add(e.pause)
		return e.why
	}
	e.pause, e.next = 0, time.Time{}
	return nil
}

// longestPause is how long at most the database is not tried to be opened.
const longestPause = time.Minute

// unended says why a write has not ended. One that waits no longer may take a
// moment still.
func (e *engine) unended() error {
	switch {
	case e.guard.waits():
		return errHeld
	case e.guard.stuck():
		return errStuck
	default:
		return e.leftFor
	}
}

func (e *engine) close() error {
	if !e.ended(closePatience) {
		go func() { _ = e.close() }() // once there is room
		return errNotClosed
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shut()
}

// closePatience is how long the database may take to be closed when there is
// reason to think that it does not get on.
const closePatience = 5 * time.Second

// errNotClosed: the database cannot write what it still has in memory. Its logs
// hold it.
var errNotClosed = errors.New("what is in memory cannot be written to tables; nothing is lost, the logs have it")

// shut closes the database. On a disk that is full or takes no writes that may
// not come to an end: then it goes on in the background, and the next call waits
// for it.
func (e *engine) shut() error {
	e.logs.close()
	patience := awaitEvery
	if e.db != nil {
		patience = closePatience
		closing, db := make(chan error, 1), e.db
		go func() { closing <- db.Close() }()
		e.db, e.closing = nil, closing
	}
	if e.closing == nil {
		return nil
	}
	for {
		select {
		case err := <-e.closing:
			e.closing = nil
			return err
		case <-time.After(patience):
			if e.guard.stuck() {
				return errNotClosed
			}
		}
	}
}

// engineLog hands Badger's warnings to the log and drops its chatter.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(f string, v ...any)   { l.log.Error("store engine", "says", line(f, v)) }
func (l engineLog) Warningf(f string, v ...any) { l.log.Warn("store engine", "says", line(f, v)) }
func (l engineLog) Infof(f string, v ...any)    { l.log.Debug("store engine", "says", line(f, v)) }
func (l engineLog) Debugf(string, ...any)       {}

func line(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
