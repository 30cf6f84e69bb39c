package drivertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// line is a line of a simulated chip that somebody has requested.
type line struct {
	chip *Chip
	wire *wire
	// arrived has something in it if there are edges to take.
	arrived chan struct{}

	// chip.mu guards the rest.
	config gpiochip.Config
	gone   bool
	closed bool
	edges  []gpiochip.Edge
	seq    uint32
}

// edge notes a change, as the kernel does: the oldest of too many is dropped.
func (l *line) edge(high bool) {
	active := high != l.config.ActiveLow
	if l.config.Edges == gpiochip.NoEdges || l.config.Edges == gpiochip.ActiveEdges && !active {
		return
	}
	l.seq++
	l.edges = append(l.edges, gpiochip.Edge{Active: active, At: time.Now(), Seq: l.seq})
	if len(l.edges) > gpiochip.EventBuffer {
		l.edges = l.edges[1:]
	}
	l.wake()
}

func (l *line) wake() {
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

var errClosedLine = fmt.Errorf("the line was given back: %w", gateway.ErrUnavailable)

func (l *line) usable() error {
	switch {
	case l.closed:
		return errClosedLine
	case l.gone:
		return errGone
	}
	return nil
}

// Level implements gpiochip.Line.
func (l *line) Level() (bool, error) {
	l.chip.mu.Lock()
	defer l.chip.mu.Unlock()
	if err := l.usable(); err != nil {
		return false, err
	}
	return l.wire.high != l.config.ActiveLow, nil
}

// Drive implements gpiochip.Line.
func (l *line) Drive(active bool) error {
	high := active != l.config.ActiveLow
	written, err := l.drive(high)
	if err == nil && written != nil {
		written(high)
	}
	return err
}

func (l *line) drive(high bool) (written func(high bool), err error) {
	l.chip.mu.Lock()
	defer l.chip.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	if l.config.Direction == gpiochip.Input {
		return nil, errors.New("an input is driven; that may be a short circuit")
	}
	if l.wire.fault != nil {
		if err := l.wire.fault(); err != nil {
			return nil, err
		}
	}
	l.wire.drive(high)
	return l.wire.written, nil
}

// Edges implements gpiochip.Line.
func (l *line) Edges(ctx context.Context, until time.Time, into []gpiochip.Edge) (int, error) {
	var late <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if n, err := l.take(into); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-l.arrived:
		case <-late:
			return l.take(into)
		case <-ctx.Done():
		}
	}
}

func (l *line) take(into []gpiochip.Edge) (int, error) {
	l.chip.mu.Lock()
	defer l.chip.mu.Unlock()
	if l.closed {
		return 0, errClosedLine
	}
	n := copy(into, l.edges)
	l.edges = l.edges[n:]
	return n, nil
}

// Close implements gpiochip.Line. An output stays as it is.
func (l *line) Close() error {
	l.chip.mu.Lock()
	defer l.chip.mu.Unlock()
	l.closed = true
	if l.wire.owner == l {
		l.wire.owner = nil
	}
	l.wake()
	return nil
}
