// Package durable writes small files of state so that a power cut leaves the
// old content or the new one, whole.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// suffix marks a file that is being written; a crash may leave one behind, and
// the next Replace overwrites it.
const suffix = ".new"

// Replace puts data in the place of the file at path, which need not exist.
// It returns nil once a power cut can no longer take that back. On an error the
// old content is still there, but for one in the sync of the directory, after
// which it may be either. mode is that of the new file.
func Replace(path string, data []byte, mode fs.FileMode) error {
	next := path + suffix
	if err := write(next, data, mode); err != nil {
		return errors.Join(err, discard(next))
	}
	if err := os.Rename(next, path); err != nil {
		return errors.Join(err, discard(next))
	}
	return syncDir(filepath.Dir(path))
}

// MakeDir makes a directory, if there is none, so that a power cut does not take
// it with what was put in it. Those above it are made, too.
func MakeDir(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), mode); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return syncDir(filepath.Dir(path))
}

// write makes a file of its own rather than fill the one that a crash may have
// left, which could have another mode.
func write(path string, data []byte, mode fs.FileMode) error {
	if err := discard(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func discard(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
