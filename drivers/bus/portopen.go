package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// Port opens a serial port. What has come before is discarded. Its error wraps
// gateway.ErrUnavailable if there is no such port, or somebody else has it, and
// gateway.ErrInvalid if the port cannot do what is wanted.
//
// Linux switches DTR on when a port is opened that nobody else has open, and
// that cannot be prevented; but it is never switched off here, so that a board
// that is reset by DTR is reset once after it was plugged in, and not again.
func (s *Set) Port(ctx context.Context, c PortConfig) (*Port, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	turn := s.turnAt(c.Port)
	select {
	case turn <- struct{}{}: // an attempt that was given up may still hold the port
	case <-ctx.Done():
		return nil, fmt.Errorf("the port has not opened in time: %w", ctx.Err())
	}
	type outcome struct {
		port *Port
		err  error
	}
	opened := make(chan outcome)
	begun := s.beginOpening(func() { // it can wait for a driver that does not answer
		p, err := openPort(c)
		select {
		case opened <- outcome{p, err}:
		case <-ctx.Done():
			if err == nil {
				p.release()
			}
		}
		<-turn
	})
	if !begun {
		<-turn
		return nil, errClosed()
	}
	select {
	case o := <-opened:
		if o.err != nil {
			return nil, o.err
		}
		return s.own(o.port)
	case <-ctx.Done():
		return nil, fmt.Errorf("the port has not opened in time: %w", ctx.Err())
	}
}

// turnAt is held by who opens a port.
func (s *Set) turnAt(port string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns[port] == nil {
		s.turns[port] = make(chan struct{}, 1)
	}
	return s.turns[port]
}

// beginOpening begins f, which Close waits for. It reports false if the set is
// closed: opening a port can reset what is attached to it.
func (s *Set) beginOpening(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.opening.Go(f)
	return true
}

// own notes an open port, for Close, and starts its reader.
func (s *Set) own(p *Port) (*Port, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		p.release()
		return nil, errClosed()
	}
	s.ports[p] = struct{}{}
	p.free = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.ports, p)
	}
	go p.readLoop()
	return p, nil
}

// openPort goes from what disturbs nobody to what does: first our own
// descriptor and its lock, only then tarm/serial, which sets the line.
func openPort(c PortConfig) (*Port, error) {
	own, err := os.OpenFile(c.Port, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, explainOpen(c.Port, err)
	}
	if err := claim(own, c.Port); err != nil {
		_ = own.Close()
		return nil, err
	}
	tty, err := serial.OpenPort(&serial.Config{
		Name: c.Port, Baud: tarmBaud(c.Baud), Size: byte(c.DataBits), Parity: parities[c.Parity], StopBits: serial.StopBits(c.StopBits),
		ReadTimeout: readTick,
	})
	if err != nil {
		_ = own.Close()
		return nil, explainOpen(c.Port, err)
	}
	p := &Port{
		PortConfig: c, tty: tty, own: own, free: func() {},
		stop: make(chan struct{}), over: make(chan struct{}), more: make(chan struct{}, 1),
	}
	if err := p.control(p.setLine); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// claim makes sure that the port is a port and ours alone.
func claim(own *os.File, path string) error {
	return control(own, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err != nil {
			return fmt.Errorf("this is no serial port: %w", gateway.ErrInvalid)
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return inUse(path)
		}
		var stat unix.Stat_t
		if unix.Fstat(fd, &stat) == nil && len(users(&stat)) > 0 {
			return inUse(path)
		}
		// With HUPCL the last Close, also that after a failure below, would switch
		// DTR off, and the next opening would reset an attached board.
		t.Cflag &^= unix.HUPCL
		return unix.IoctlSetTermios(fd, unix.TCSETS2, t)
	})
}

// explainOpen says what to do about a port that does not open.
func explainOpen(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("there is no such port; is it plugged in? %s: %w", present(), gateway.ErrUnavailable)
	case errors.Is(err, syscall.EBUSY):
		return inUse(path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the port may not be opened; add the user of the gateway to the group that owns it (dialout, as a rule): %w: %w", bare(err), gateway.ErrUnavailable)
	default:
		return fmt.Errorf("the port cannot be opened: %w: %w", bare(err), gateway.ErrUnavailable)
	}
}

// present lists the ports of adapters by their stable names.
func present() string {
	names, _ := filepath.Glob("/dev/serial/by-id/*") // the pattern is right
	if len(names) == 0 {
		return "No USB adapter is there"
	}
	return "There are " + strings.Join(names, ", ")
}
