// Package attr reads and writes attributes of devices that a driver of the
// kernel serves: the one-line files of /sys. What the kernel says when a device
// is gone becomes gateway.ErrUnavailable.
package attr

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxBytes is what the kernel gives at most: a page.
	maxBytes = 4096
	// tries is how often an attribute is read: chips are asked by the kernel at
	// each read, and one transfer that fails (EIO) is nothing unusual.
	tries = 3
)

// Text is what an attribute says, without white space around it.
func Text(path string) (text string, err error) {
	for range tries {
		if text, err = read(path); !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EAGAIN) {
			break
		}
	}
	return text, explain(path, err)
}

func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxBytes))
	return strings.TrimSpace(string(data)), errors.Join(err, f.Close())
}

// Number is the number that an attribute says. Anything else, and what is no
// finite number, is gateway.ErrInvalid.
func Number(path string) (float64, error) {
	text, err := Text(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%s says %.40q, which is no number: %w", path, text, gateway.ErrInvalid)
	}
	return n, nil
}

// Set writes an attribute.
func Set(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // never made anew
	if err != nil {
		return explain(path, err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("%s does not take %.40q: %w", path, value, gateway.ErrInvalid)
	}
	return explain(path, err)
}

// Exists tells whether there is such an attribute.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// explain says what to think of an error of the kernel.
func explain(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("%s is not there (any more): %w", path, gateway.ErrUnavailable)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.EREMOTEIO), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("the chip does not answer the kernel; check its wiring: %w: %w", err, gateway.ErrUnavailable)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run as a user that may, or set the rights of the file by a rule of udev", err)
	default:
		return err
	}
}
