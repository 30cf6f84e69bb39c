package storeforward

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// engine is the open database. Goroutines may read while the committer writes.
type engine struct {
	opts badger.Options

	mu sync.RWMutex // held for writing while the database is opened anew
	db *badger.DB   // nil if that failed
	// version is that of the last transaction.
	version uint64

	logs syncer
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
		WithBaseLevelSize(2 * memTableBytes).
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
	opts := engineOptions(o)
	e := &engine{opts: opts, logs: syncer{dir: opts.Dir, data: o.datasync}}
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
	e.db, e.version = db, db.MaxVersion()
	db.SetDiscardTs(e.version)
	return nil
}

// errEngineDown: the database could not be opened again after an error.
var errEngineDown = errors.New("the store's files cannot be opened again")

// view reads. What the engine panics on while it reads is damage.
func (e *engine) view(read func(*badger.Txn) error) (err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return errEngineDown
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return e.db.View(read)
}

// update writes one transaction and returns nil when it is on disk. After an
// error it is open whether it is; renew must be called before the next. One
// goroutine calls it at a time.
func (e *engine) update(write func(*badger.Txn) error) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return errEngineDown
	}
	txn := e.db.NewTransactionAt(e.version, true)
	defer txn.Discard()
	if err := write(txn); err != nil {
		return err
	}
	e.version++
	if err := txn.CommitAt(e.version, nil); err != nil {
		return err
	}
	e.db.SetDiscardTs(e.version) // older versions of a key are not read any more
	return e.logs.sync()
}

func (e *engine) dropPrefix(prefixes ...[]byte) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return errEngineDown
	}
	defer e.logs.relist() // it has begun new logs
	if err := e.db.DropPrefix(prefixes...); err != nil {
		return err
	}
	if narrow {
		return checkLevelZero(e.db)
	}
	return nil
}

// renew closes and opens the database: after a sync that failed, the kernel
// takes pages for written that are not, and nothing may be appended to a log
// behind them. Closing writes what is in memory to new tables.
func (e *engine) renew() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.logs.close()
	if e.db != nil {
		err := e.db.Close()
		e.db = nil
		if err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	if err := removeUnborn(e.opts.Dir); err != nil {
		return err
	}
	if err := e.open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

func (e *engine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.logs.close()
	if e.db == nil {
		return nil
	}
	err := e.db.Close()
	e.db = nil
	return err
}

// engineLog hands Badger's warnings to the log and drops its chatter.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(f string, v ...any)   { l.log.Error("store engine", "says", line(f, v)) }
func (l engineLog) Warningf(f string, v ...any) { l.log.Warn("store engine", "says", line(f, v)) }
func (l engineLog) Infof(f string, v ...any)    { l.log.Debug("store engine", "says", line(f, v)) }
func (l engineLog) Debugf(string, ...any)       {}

func line(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
