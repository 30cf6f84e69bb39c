package mcu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// patience is how long HELLO may stay without an answer: less than a keeper waits
// for Open, so that the reason is told.
const patience = 5 * time.Second

// Dev is a microcontroller.
type Dev struct {
	config Config
	buses  *bus.Set
	log    *slog.Logger
	card   gateway.Memory  // nil: none
	files  string          // folder for images of firmware; empty: none
	proxy  func() *url.URL // to fetch them through; nil: none
	memory *link.Memory    // of the sessions, from one port to the next

	attending sync.WaitGroup // attend, of the open link
	// acting holds one token while an action is carried out and its effect noted, so that
	// no lease is renewed that it ends.
	acting chan struct{}

	mu    sync.Mutex         // guards the rest, and is never held while the line is used
	conn  *link.Conn         // nil: not open
	end   context.CancelFunc // of attend
	sink  gateway.Sink       // of the Run under way; nil: none
	hello link.Hello         // of the last session
	// updating is how far an update of the firmware is, nil if none is under way;
	// changed is closed when one begins or ends, or conn changes.
	updating *gateway.FirmwareUpdate
	opened   bool // between Open and Close
	changed  chan struct{}
	plan     *plan // what it can do, as far as is known; nil: unknown
	outputs
}

// New returns a microcontroller whose port is opened by Open.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{
		config: c, buses: buses, log: slog.New(slog.DiscardHandler), memory: link.NewMemory(), changed: make(chan struct{}),
		acting: make(chan struct{}, 1), proxy: func() *url.URL { return nil },
	}, nil
}

// LogTo implements gateway.Logger.
func (d *Dev) LogTo(log *slog.Logger) { d.log = log }

// Open implements gateway.Opener. It begins a session, in which outputs keep their
// values, and learns what the microcontroller can do.
func (d *Dev) Open(ctx context.Context) error {
	conn, err := d.connect(ctx, false)
	if err != nil {
		return err
	}
	if err := d.greet(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	d.mu.Lock()
	d.opened = true
	d.mu.Unlock()
	return d.take(conn)
}

// take makes a link the one in use, unless the device was closed meanwhile.
func (d *Dev) take(conn *link.Conn) error {
	d.mu.Lock()
	if !d.opened {
		d.mu.Unlock()
		return errors.Join(bus.ErrNotOpen, conn.Close())
	}
	life, end := context.WithCancel(context.Background())
	d.conn, d.end = conn, end
	d.attending.Go(func() { d.attend(life, conn) })
	d.wake()
	d.mu.Unlock()
	return nil
}

// drop closes the link in use, if there is one.
func (d *Dev) drop() error {
	d.mu.Lock()
	conn, end := d.conn, d.end
	d.conn = nil
	d.outputs = outputs{}
	d.wake()
	d.mu.Unlock()
	if conn == nil {
		return nil
	}
	end()
	err := conn.Close()
	d.attending.Wait()
	return err
}

// wake wakes those who wait for something to change; mu is held.
func (d *Dev) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// next is the link after one that has ended while the firmware is replaced; nil if
// there will be none.
func (d *Dev) next(ctx context.Context, ended *link.Conn) *link.Conn {
	for {
		d.mu.Lock()
		conn, updating, changed := d.conn, d.updating != nil, d.changed
		d.mu.Unlock()
		switch {
		case conn != nil && conn != ended:
			return conn
		case !updating:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// connect opens the port and begins a session.
func (d *Dev) connect(ctx context.Context, stay bool) (*link.Conn, error) {
	port, err := d.buses.Port(ctx, d.config.port())
	if err != nil {
		return nil, err
	}
	conn, err := link.Open(ctx, newStream(port), link.Options{Memory: d.memory, Stay: stay, Patience: patience, Now: trustedNow})
	switch {
	case errors.Is(err, gateway.ErrTimeout):
		return nil, fmt.Errorf("%w; check its firmware, its power and the rate of the port: %w", err, gateway.ErrUnavailable)
	case err != nil:
		return nil, err
	}
	return conn, nil
}

// softwareMade is before this software was made: a clock that says so is wrong.
var softwareMade = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// trustedNow is the time that the microcontroller is told; zero if it cannot be right.
func trustedNow() time.Time {
	if now := time.Now(); now.After(softwareMade) {
		return now
	}
	return time.Time{}
}

// greet learns who is there.
func (d *Dev) greet(ctx context.Context, conn *link.Conn) error {
	hello, err := conn.Hello(ctx)
	if err != nil {
		return lost(conn, err)
	}
	d.mu.Lock()
	d.hello = hello
	d.mu.Unlock()
	if hello.Role == link.Loader {
		return nil
	}
	descriptor, err := conn.Descriptor(ctx)
	if err != nil {
		return lost(conn, fmt.Errorf("it does not say what it can do: %w", err))
	}
	d.learn(descriptor)
	return nil
}

// use is the open link.
func (d *Dev) use() (*link.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return nil, bus.ErrNotOpen
	}
	return d.conn, nil
}

// lost makes the end of the link an absent device.
func lost(conn *link.Conn, err error) error {
	if err == nil || conn.Err() == nil || errors.Is(err, gateway.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", err, gateway.ErrUnavailable)
}

// Close gives the port back. The microcontroller takes its safe state by itself when
// it has heard nothing for its own time.
func (d *Dev) Close() error {
	d.mu.Lock()
	d.opened = false
	d.mu.Unlock()
	return d.drop()
}
