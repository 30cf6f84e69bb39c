package service

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/storeforward"
)

// OpenQueue opens the queue of a gateway that does not run. The error wraps
// storeforward.ErrLocked if it does run, and fs.ErrNotExist if it has never.
func (l *Loaded) OpenQueue(build Build, log *slog.Logger) (*storeforward.Queue, error) {
	return openExisting(l.storeOptions(), build, log)
}

// OpenQueueOf opens the queue in the data directory of any gateway that does
// not run, only to look: under bounds that nothing in it exceeds, so that
// nothing is given up. l has the key, if the queue is encrypted; it may be nil.
func OpenQueueOf(dataDir string, l *Loaded, build Build, log *slog.Logger) (*storeforward.Queue, error) {
	options := storeforward.Defaults(filepath.Join(dataDir, "queue"))
	options.MaxBytes, options.MinFree, options.JournalEntries = 1<<60, storeforward.MinMinFree, 1<<20 // and no age
	if l != nil {
		options.Key = l.storeOptions().Key
	}
	return openExisting(options, build, log)
}

// openExisting opens a store, but makes none.
func openExisting(options storeforward.Options, build Build, log *slog.Logger) (*storeforward.Queue, error) {
	info, err := os.Stat(filepath.Join(options.Dir, "MANIFEST"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no queue in %s: %w", options.Dir, fs.ErrNotExist)
		}
		return nil, err
	}
	if err := checkOwner(options.Dir, info); err != nil {
		return nil, err
	}
	options.Clock, options.Log = clock.NewSystem(build.Time), log
	return storeforward.Open(options)
}

// checkOwner refuses root, unless the queue is root's: files that root makes
// there would keep the gateway out of its queue.
func checkOwner(dir string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || stat.Uid == 0 {
		return nil
	}
	name := "#" + strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(name[1:]); err == nil {
		name = u.Username
	}
	return fmt.Errorf("the queue in %s is that of user %s, and what root writes there would keep the gateway out; run: sudo -u %s fieldpost …", dir, name, name)
}
