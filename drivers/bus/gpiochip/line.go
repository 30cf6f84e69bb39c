package gpiochip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// line is a Line of the kernel.
type line struct {
	name string
	file *os.File
	// now is the clock of the edges, and what it is in ours.
	now func() (kernel time.Duration, ours time.Time)
	buf []byte // of Edges

	mu     sync.Mutex // guards config
	config Config
}

func newLine(fd int, name string, c Config) (*line, error) {
	// Only a file that does not block can be waited for with a deadline.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), unix.Close(fd))
	}
	return &line{name: name, config: c, now: monotonic, file: os.NewFile(uintptr(fd), name)}, nil
}

func monotonic() (time.Duration, time.Time) {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it is always there
	return time.Duration(t.Nano()), time.Now()
}

// Level implements Line.
func (l *line) Level() (bool, error) {
	v := unix.GPIOV2LineValues{Mask: 1}
	if err := ioctl(l.file, getValues, &v); err != nil {
		return false, l.explain("read", err)
	}
	return v.Bits&1 == 1, nil
}

// Drive implements Line.
func (l *line) Drive(active bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config.Direction == Output {
		v := unix.GPIOV2LineValues{Mask: 1, Bits: bit(active)}
		if err := ioctl(l.file, setValues, &v); err != nil {
			return l.explain("set", err)
		}
		return nil
	}
	c := Config{ActiveLow: l.config.ActiveLow, Direction: Output, Level: active}
	k := c.lineConfig()
	if err := ioctl(l.file, setConfig, &k); err != nil {
		return l.explain("make it an output", err)
	}
	l.config = c
	return nil
}

// Edges implements Line.
func (l *line) Edges(ctx context.Context, until time.Time, into []Edge) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if soon := time.Now().Add(takeTime); !until.IsZero() && until.Before(soon) {
		until = soon
	}
	if err := l.file.SetReadDeadline(until); err != nil {
		return 0, l.explain("wait for edges", err)
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = l.file.SetReadDeadline(time.Unix(1, 0)) // fails only for a closed line
		close(interrupted)
	})
	n, err := l.read(into)
	if !stop() {
		<-interrupted // or it would end the next wait
	}
	switch {
	case n > 0:
		return n, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, nil
	}
	return 0, l.explain("wait for edges", err)
}

// takeTime is what it takes at most to take edges that are there: a deadline that
// has passed would leave them.
const takeTime = time.Millisecond

// eventSize is that of struct gpio_v2_line_event.
const eventSize = 48

// read waits for events and takes as many as there are and fit.
func (l *line) read(into []Edge) (int, error) {
	if want := len(into) * eventSize; len(l.buf) < want {
		l.buf = make([]byte, want)
	}
	n, err := l.file.Read(l.buf[:len(into)*eventSize])
	if err != nil {
		return 0, err
	}
	kernel, ours := l.now()
	return decode(l.buf[:n], into, func(at time.Duration) time.Time { return ours.Add(at - kernel) })
}

// decode reads events as the kernel writes them: timestamp in ns, kind, offset,
// sequence number of the request and of the line, and six words without meaning.
func decode(raw []byte, into []Edge, when func(time.Duration) time.Time) (int, error) {
	if len(raw) == 0 || len(raw)%eventSize != 0 {
		return 0, fmt.Errorf("%d bytes are not a number of events: %w", len(raw), gateway.ErrInvalid)
	}
	n := 0
	for ; len(raw) > 0 && n < len(into); raw = raw[eventSize:] {
		kind := binary.NativeEndian.Uint32(raw[8:])
		if kind != unix.GPIO_V2_LINE_EVENT_RISING_EDGE && kind != unix.GPIO_V2_LINE_EVENT_FALLING_EDGE {
			return n, fmt.Errorf("an event of the unknown kind %d: %w", kind, gateway.ErrInvalid)
		}
		at := binary.NativeEndian.Uint64(raw)
		into[n] = Edge{
			Active: kind == unix.GPIO_V2_LINE_EVENT_RISING_EDGE,
			At:     when(time.Duration(at)), //nolint:gosec // ns since the start of the kernel
			Seq:    binary.NativeEndian.Uint32(raw[20:]),
		}
		n++
	}
	return n, nil
}

// Close implements Line.
func (l *line) Close() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return l.explain("give it back", err)
	}
	return nil
}

// explain says what an error means for whoever has the line.
func (l *line) explain(what string, err error) error {
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EIO):
		return fmt.Errorf("%s: %s: the chip is gone (%w): %w", l.name, what, err, gateway.ErrUnavailable)
	case errors.Is(err, gateway.ErrInvalid):
		return fmt.Errorf("%s: %s: %w", l.name, what, err)
	}
	return fmt.Errorf("%s: %s: %w: %w", l.name, what, err, gateway.ErrUnavailable)
}
