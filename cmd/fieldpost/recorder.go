package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway/service"
)

// recorder writes transactions into a file, a line each, in the form that the
// package drivertest plays back.
type recorder struct {
	mu    sync.Mutex
	file  *os.File
	lines int
	err   error // the first
}

func newRecorder(path, device string) (*recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(file, "# fieldpost %s, device %s, %s\n", version, device, time.Now().UTC().Format(time.RFC3339))
	return &recorder{file: file, err: err}, nil
}

func (r *recorder) add(t service.Transaction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines++
	if _, err := fmt.Fprintln(r.file, t); r.err == nil {
		r.err = err
	}
}

// close ends the file; it may be nil.
func (r *recorder) close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := errors.Join(r.err, r.file.Close())
	if err == nil && r.lines == 0 {
		return errors.New("nothing was recorded: that is for devices on I2C and SPI")
	}
	return err
}
