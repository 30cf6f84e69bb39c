package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// raw is the yardstick: bodies appended to a plain file that was not allocated
// beforehand, one write and one fdatasync a group.
type raw struct {
	file *os.File
	buf  []byte
}

func openRaw(dir string) (*raw, error) {
	f, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &raw{file: f}, nil
}

func (r *raw) append(bodies [][]byte) error {
	r.buf = r.buf[:0]
	for _, b := range bodies {
		r.buf = append(r.buf, b...)
	}
	if _, err := r.file.Write(r.buf); err != nil {
		return err
	}
	return unix.Fdatasync(int(r.file.Fd()))
}

func (r *raw) close() error { return r.file.Close() }
