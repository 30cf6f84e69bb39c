package storeforward

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// Open opens the store in opts.Dir, or makes one there. Its errors say what to
// do: ErrLocked, ErrDamaged (see Quarantine), gateway.ErrFull, or why the
// directory cannot be written.
func Open(opts Options) (*Queue, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := prepareDir(opts); err != nil {
		return nil, err
	}
	packer, err := newPacker()
	if err != nil {
		return nil, err
	}
	unpacker, err := newUnpacker()
	if err != nil {
		return nil, err
	}
	written := deviceWritten()
	db, err := badger.Open(engineOptions(opts))
	if err != nil {
		return nil, openError(opts.Dir, err)
	}
	q := &Queue{
		opts: opts, db: db, unpacker: unpacker, log: opts.Log,
		requests: make(chan *request, 256),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
		ready:    make(chan struct{}, 1),
		room:     make(chan struct{}),
		lanes:    make(map[gateway.Lane]*lane),
	}
	q.opened, q.writtenBefore = time.Now(), written
	q.journal = &Journal{q: q, entries: make(map[string]*journalEntry)}
	if err := q.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	c := &committer{Queue: q, packer: packer}
	go c.run()               // Close waits for it
	q.trimming.Go(q.trimmer) // likewise
	return q, nil
}

// prepareDir sees to it that the engine can be started without harm.
func prepareDir(opts Options) error {
	dir := opts.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("store directory: %w; give the user of this process the right to write there", err)
	}
	probe, err := os.CreateTemp(dir, ".write-probe-*")
	if err != nil {
		return fmt.Errorf("store directory %s cannot be written: %w; check its owner and that the file system is not read-only", dir, err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("store directory %s: %w", dir, err)
	}
	free, err := opts.free(dir)
	if err != nil {
		return err
	}
	if free < MinMinFree {
		return fmt.Errorf("store directory %s: %d MB free, %d MB are needed to open the store; delete files there: %w",
			dir, free>>20, MinMinFree>>20, gateway.ErrFull)
	}
	return withLock(dir, func() error {
		if err := removeUnborn(dir); err != nil {
			return err
		}
		if err := checkManifest(dir); err != nil {
			return err
		}
		if err := checkTables(engineOptions(opts)); err != nil {
			return openError(dir, err)
		}
		return nil
	})
}

// withLock calls f while no other process has the store open. The engine's own
// lock is of the same kind, on the directory.
func withLock(dir string, f func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // which gives the lock back
	switch err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("store %s: %w; is fieldpost running already?", dir, ErrLocked)
	case err != nil:
		return fmt.Errorf("store %s: lock: %w", dir, err)
	}
	return f()
}

// removeUnborn removes log files that a crash left between their creation and
// their first byte: the engine refuses to open with one, and none holds a
// message.
func removeUnborn(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.Size() > 0 {
				continue
			}
			if err := os.Remove(file); err != nil {
				return fmt.Errorf("store directory %s: %w", dir, err)
			}
		}
	}
	return nil
}

// checkManifest guards against a trap of the engine: without its MANIFEST it
// takes the store for empty and deletes every table.
func checkManifest(dir string) error {
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, "MANIFEST"))
	if len(tables) > 0 && (err != nil || info.Size() <= 8) {
		return fmt.Errorf("store %s: %w: there are tables but no MANIFEST", dir, ErrDamaged)
	}
	return nil
}

// engineOptions make Badger small: values stay in the tree, so that the value
// log is never used; nothing is cached, since tables are mapped and not
// compressed; blocks hold the largest record, since on 32-bit systems a value
// larger than a block damages its table.
func engineOptions(opts Options) badger.Options {
	return badger.DefaultOptions(opts.Dir).
		WithSyncWrites(true).
		WithMemTableSize(memTableBytes).
		WithNumMemtables(1).
		WithBaseTableSize(memTableBytes).
		WithBaseLevelSize(2 * memTableBytes).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(4).
		WithNumCompactors(2).
		WithBlockSize(MaxAppendBytes).
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

// newStoreID makes the random name of a store.
func newStoreID() string {
	var b [6]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// engineLog hands Badger's warnings to the log and drops its chatter.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(f string, v ...any)   { l.log.Error("store engine", "says", line(f, v)) }
func (l engineLog) Warningf(f string, v ...any) { l.log.Warn("store engine", "says", line(f, v)) }
func (l engineLog) Infof(f string, v ...any)    { l.log.Debug("store engine", "says", line(f, v)) }
func (l engineLog) Debugf(string, ...any)       {}

func line(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
