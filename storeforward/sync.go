package storeforward

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// syncer makes commits durable with one flush of the disk each, where the
// engine's own way takes two: one for its log of the memtable and one for the
// value log, which is empty here.
//
// The engine numbers its logs. A transaction begins at most one, so that
// between two of them it is enough to ask for the next number; all that may
// hold something new are synced. A log that was synced while there was a newer
// one is complete. One that is gone is in a table that was synced.
type syncer struct {
	dir  string
	data func(fd int) error
	// open are the logs that are not complete, oldest first; they are known if
	// listed is set. next is the path of the one that would follow.
	open   []memLog
	listed bool
	next   string
	// complete is the number of the newest log that is complete and synced.
	complete int
	// fresh: a log is open that the directory on disk may lack.
	fresh bool
	// laid is the number of the newest log that has all its blocks.
	laid int
}

// memLog is a log of the engine, open so that it can be synced.
type memLog struct {
	number int
	fd     int
}

const memLogSuffix = ".mem"

func (s *syncer) sync() error {
	if err := s.find(); err != nil {
		return err
	}
	for _, l := range s.open {
		if err := s.data(l.fd); err != nil {
			return fmt.Errorf("sync %s: %w", memLogName(l.number), err)
		}
	}
	for len(s.open) > 1 {
		s.complete = s.open[0].number
		s.forget()
	}
	if s.fresh {
		if err := syncDir(s.dir); err != nil {
			return err
		}
		s.fresh = false
	}
	return nil
}

// laidOut gives the log that is written to all the blocks that it will need; it
// reports whether it has them.
func (s *syncer) laidOut() bool {
	if !s.listed && s.find() != nil || len(s.open) == 0 {
		return false
	}
	last := s.open[len(s.open)-1]
	if s.laid < last.number && layOut(last.fd) == nil {
		s.laid = last.number
	}
	return s.laid >= last.number
}

// find opens the logs that are new.
func (s *syncer) find() error {
	if !s.listed || len(s.open) == 0 {
		return s.list()
	}
	return s.add(s.open[len(s.open)-1].number+1, s.next)
}

// list looks for logs in the directory, and lets go of those that are gone.
func (s *syncer) list() error {
	paths, err := filepath.Glob(filepath.Join(s.dir, "*"+memLogSuffix))
	if err != nil {
		return err
	}
	var numbers []int
	for _, path := range paths {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), memLogSuffix))
		if err == nil && n > s.complete {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	before := s.open
	s.open = nil
	for _, l := range before {
		if slices.Contains(numbers, l.number) {
			s.open = append(s.open, l)
		} else {
			_ = unix.Close(l.fd) // it was only synced through
		}
	}
	for _, n := range numbers {
		if slices.ContainsFunc(s.open, func(l memLog) bool { return l.number == n }) {
			continue
		}
		if err := s.add(n, s.path(n)); err != nil {
			return err
		}
	}
	s.listed = true
	return nil
}

// add opens a log if there is one of that number.
func (s *syncer) add(number int, path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("sync %s: %w", memLogName(number), err)
	}
	s.open, s.fresh = append(s.open, memLog{number, fd}), true
	s.next = s.path(number + 1)
	return nil
}

// newest is the number of the log that is written to; 0 if it is not known.
func (s *syncer) newest() int {
	if len(s.open) == 0 {
		return 0
	}
	return s.open[len(s.open)-1].number
}

// forget closes the oldest log.
func (s *syncer) forget() {
	_ = unix.Close(s.open[0].fd) // it was only synced through
	s.open = slices.Delete(s.open, 0, 1)
}

// relist makes the next sync look for logs anew, whatever their numbers.
func (s *syncer) relist() { s.listed = false }

// close forgets everything; the engine may begin to count anew.
func (s *syncer) close() {
	for len(s.open) > 0 {
		s.forget()
	}
	s.listed, s.complete, s.fresh, s.laid = false, 0, false, 0
}

func (s *syncer) path(number int) string { return filepath.Join(s.dir, memLogName(number)) }

// memLogName is how the engine names its logs.
func memLogName(number int) string { return fmt.Sprintf("%05d%s", number, memLogSuffix) }

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
