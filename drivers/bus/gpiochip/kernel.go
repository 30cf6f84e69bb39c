package gpiochip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// Kernel is the board that this program runs on.
type Kernel struct{}

const devices = "/dev"

// Chips implements Board.
func (Kernel) Chips() ([]Chip, error) {
	paths, err := filepath.Glob(devices + "/gpiochip*")
	if err != nil {
		return nil, fmt.Errorf("list GPIO chips: %w", err)
	}
	slices.Sort(paths)
	var chips []Chip
	var errs []error
	for _, path := range paths {
		// A Raspberry Pi has its first chip a second time under an old name.
		if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink != 0 {
			continue
		}
		chip, err := readChip(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		chips = append(chips, chip)
	}
	return chips, errors.Join(errs...)
}

func readChip(path string) (Chip, error) {
	f, err := os.Open(path)
	if err != nil {
		return Chip{}, located(path, "open", err)
	}
	defer func() { _ = f.Close() }() // it was only asked
	var info unix.GPIOChipInfo
	if err := ioctl(f, getChipInfo, &info); err != nil {
		return Chip{}, located(path, "read", err)
	}
	chip := Chip{Name: text(info.Name[:]), Label: text(info.Label[:])}
	for offset := range info.Lines {
		line := unix.GPIOV2LineInfo{Offset: offset}
		if err := ioctl(f, getLineInfo, &line); err != nil {
			return Chip{}, located(path, fmt.Sprintf("read line %d of", offset), err)
		}
		chip.Lines = append(chip.Lines, LineInfo{
			Name: text(line.Name[:]), Consumer: text(line.Consumer[:]),
			Used: line.Flags&flagUsed != 0, Output: line.Flags&flagOutput != 0,
		})
	}
	return chip, nil
}

// Request implements Board.
func (Kernel) Request(chip string, offset int, c Config) (Line, error) {
	path := filepath.Join(devices, filepath.Base(chip))
	f, err := os.Open(path)
	if err != nil {
		return nil, located(path, "open", err)
	}
	defer func() { _ = f.Close() }() // it was only asked
	request := c.request(offset)
	if err := ioctl(f, getLine, &request); err != nil {
		return nil, located(path, fmt.Sprintf("take line %d of", offset), err)
	}
	return newLine(int(request.Fd), fmt.Sprintf("%s line %d", path, offset), c)
}

// located gives an error of the kernel its place and meaning.
func located(path, what string, err error) error {
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		err = pathError.Err
	}
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s %s: %w; may this user use it (group gpio)? %w", what, path, err, gateway.ErrUnavailable)
	case errors.Is(err, syscall.ENOTTY):
		return fmt.Errorf("%s %s: %w; that is no GPIO chip: %w", what, path, err, gateway.ErrUnavailable)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EOPNOTSUPP):
		return fmt.Errorf("%s %s: %w; is the kernel older than 5.10, or can the chip not do that (edges need an interrupt)? %w", what, path, err, gateway.ErrInvalid)
	}
	return fmt.Errorf("%s %s: %w: %w", what, path, err, gateway.ErrUnavailable)
}

// text is a name as the kernel gives it, up to its first zero.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
