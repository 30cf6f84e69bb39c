package storeforward

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

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
	q, err := open(opts)
	if err != nil {
		return nil, errors.Join(err, countRun(witnessPath(opts.Dir), -1))
	}
	return q, nil
}

func open(opts Options) (*Queue, error) {
	c, err := newCommitter(opts)
	if err != nil {
		return nil, err
	}
	c.step("open")
	found, err := c.search()
	if err != nil {
		return nil, err
	}
	if c.engine, err = openEngine(opts); err != nil {
		return nil, openError(opts.Dir, err)
	}
	err = c.load()
	if err == nil {
		err = c.beginSalvage(found)
	}
	if errors.Is(err, errNoRoom) {
		err = fmt.Errorf("store: %s: %w", c.refusalReason(), gateway.ErrFull)
	}
	if err != nil {
		return nil, errors.Join(err, c.engine.close(), c.witness.abandon())
	}
	c.step("opened")
	q := c.Queue
	go c.run()              // Close waits for it
	q.helpers.Go(q.trimmer) // likewise
	q.helpers.Go(q.salvager)
	return q, nil
}

func newCommitter(opts Options) (*committer, error) {
	sealer, err := newSealer(opts.Key)
	if err != nil {
		return nil, err
	}
	packer, err := newPacker(sealer)
	if err != nil {
		return nil, err
	}
	unpacker, err := newUnpacker(sealer)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		opts: opts, log: opts.Log, sealer: sealer, unpacker: unpacker,
		ages: newAges(opts.Clock), step: opts.step,
		requests: make(chan *request, 256),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
		room:     make(chan struct{}),
		opened:   time.Now(), writtenBefore: deviceWritten(),
	}
	q.outlets = q.makeOutlets()
	q.journal = newJournal(q)
	return &committer{Queue: q, packer: packer, lastForgot: q.ages.opened, undone: make(map[string][]byte)}, nil
}

// prepareDir sees to it that the engine can be started without harm, and counts
// the run: the engine can die as soon as it is started.
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
	if err := roomToOpen(opts); err != nil {
		return err
	}
	return withLock(dir, func() error {
		if err := removeUnborn(dir); err != nil {
			return err
		}
		if err := checkManifest(dir); err != nil {
			return err
		}
		heard, err := hear(witnessPath(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("witness of the store: %w", err)
		}
		err = checkLogs(dir, heard)
		if err == nil {
			err = checkTables(engineOptions(opts), suspicious(heard))
		}
		if err != nil {
			return openError(dir, err)
		}
		return countRun(witnessPath(dir), 1)
	})
}

// roomToOpen makes sure that the engine can read its logs into tables, and gives
// the ballast up for that.
func roomToOpen(opts Options) error {
	g := newGuard(opts)
	need := g.taskBytes() + slackBytes
	if g.room(need) {
		return nil
	}
	free, err := opts.free(opts.Dir)
	switch {
	case errors.Is(err, errNoRoom):
		return fmt.Errorf("store: %w: %w", gateway.ErrFull, err)
	case err != nil:
		return err
	}
	return fmt.Errorf("store directory %s: %d MB free, %d MB are needed to open the store; delete files there: %w",
		opts.Dir, free/1e6, need/1e6, gateway.ErrFull)
}

// suspicious reports whether every block of the tables is to be looked at: what
// the engine makes of a damaged one can kill the process, again and again. So it
// is if the last runs all ended badly, and if there is no witness that says how
// they ended.
func suspicious(heard *testimony) bool {
	return heard == nil || heard.deaths >= maxDeaths
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
