package storeforward

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

	logs syncer
}

// engineOptions make Badger small: values stay in the tree, so that the value
// log is never used; nothing is cached, since tables are mapped and not
// compressed; blocks hold the largest record, since on 32-bit systems a value
// larger than a block damages its table. The engine does not sync: see syncer.
func engineOptions(opts Options) badger.Options {
	return badger.DefaultOptions(opts.Dir).
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
}

func openEngine(o Options) (*engine, error) {
	opts := engineOptions(o)
	db, err := badger.Open(opts)
	if err != nil {
		return nil, err
	}
	return &engine{opts: opts, db: db, logs: syncer{dir: opts.Dir, data: o.datasync}}, nil
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
// error it is open whether it is; renew must be called before the next.
func (e *engine) update(write func(*badger.Txn) error) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return errEngineDown
	}
	if err := e.db.Update(write); err != nil {
		return err
	}
	return e.logs.sync()
}

func (e *engine) dropPrefix(prefixes ...[]byte) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return errEngineDown
	}
	return e.db.DropPrefix(prefixes...)
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
	db, err := badger.Open(e.opts)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	e.db = db
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

// syncer makes commits durable with one flush of the disk each, where the
// engine's own way takes two: one for its log of the memtable and one for the
// value log, which is empty here. All logs are synced, since the engine may
// have begun a new one amid a commit; one that is gone is in a table that was
// synced. A log that was synced while there was a newer one is complete.
type syncer struct {
	dir  string
	data func(fd int) error
	open map[string]*os.File
	full map[string]bool // complete and synced
}

func (s *syncer) sync() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "*.mem"))
	if err != nil {
		return err
	}
	s.dropGone(names)
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	fresh := false
	for i, name := range names { // in the order of their age
		if s.full[name] {
			continue
		}
		f := s.open[name]
		if f == nil {
			if f, err = os.OpenFile(name, os.O_RDWR, 0); errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return fmt.Errorf("sync: %w", err)
			}
			s.open[name], fresh = f, true
		}
		if err := s.data(int(f.Fd())); err != nil {
			return fmt.Errorf("sync %s: %w", filepath.Base(name), err)
		}
		if i < len(names)-1 {
			s.full[name] = true
		}
	}
	if fresh {
		return syncDir(s.dir)
	}
	return nil
}

// dropGone closes the logs that are there no more.
func (s *syncer) dropGone(names []string) {
	if s.open == nil {
		s.open, s.full = make(map[string]*os.File), make(map[string]bool)
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for name, f := range s.open {
		if !there[name] {
			_ = f.Close() // it was only synced through
			delete(s.open, name)
			delete(s.full, name)
		}
	}
}

func (s *syncer) close() {
	for _, f := range s.open {
		_ = f.Close()
	}
	s.open, s.full = nil, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// engineLog hands Badger's warnings to the log and drops its chatter.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(f string, v ...any)   { l.log.Error("store engine", "says", line(f, v)) }
func (l engineLog) Warningf(f string, v ...any) { l.log.Warn("store engine", "says", line(f, v)) }
func (l engineLog) Infof(f string, v ...any)    { l.log.Debug("store engine", "says", line(f, v)) }
func (l engineLog) Debugf(string, ...any)       {}

func line(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
