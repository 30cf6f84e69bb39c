package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// KindModbus is the kind of buses with Modbus units, of type modbus-rtu and
// modbus-tcp.
const KindModbus = "modbus"

// RTUConfig is a serial line with Modbus units.
type RTUConfig struct {
	PortConfig
	Timeout time.Duration `yaml:"timeout" doc:"A unit has this long to answer." default:"1s" min:"50ms" max:"1m"`
	Gap     time.Duration `yaml:"gap" doc:"Silence between two frames, if units need more than the 3.5 characters of the standard." default:"0s" min:"0s" max:"1s"`
	Retries int           `yaml:"retries" doc:"How often a read is repeated whose answer was damaged; one without an answer is repeated once, if the unit has answered the request before it." default:"2" min:"0" max:"10"`
	Echo    bool          `yaml:"echo" doc:"True if the adapter hears what it sends." default:"false"`
}

func (*RTUConfig) kind() string { return KindModbus }

func (c *RTUConfig) hardware() string { return c.Port }

// TCPConfig is a connection to Modbus units, or to a gateway to them.
type TCPConfig struct {
	Address string        `yaml:"address" doc:"Host and port of the unit; port 502 if left out." required:"true" pattern:"^([^\\s:\\[\\]]+|\\[[0-9a-fA-F:.%a-z]+\\])(:[0-9]{1,5})?$" want:"a host, or host:port" example:"192.168.1.20:502"`
	Timeout time.Duration `yaml:"timeout" doc:"Connecting, and an answer, may take this long each." default:"2s" min:"50ms" max:"1m"`
}

func (*TCPConfig) kind() string { return KindModbus }

// AtUnit is a unit of a Modbus. Several devices can read different registers of
// one.
func AtUnit(bus string, unit int) Place {
	return Place{Bus: bus, Kind: KindModbus, At: fmt.Sprintf("unit %d", unit), Shared: true}
}

// Modbus is a bus with Modbus units. Requests of several devices take turns, and
// those that write come before those that read.
type Modbus struct {
	name    string
	timeout time.Duration
	retries int
	connect func(ctx context.Context) (asker, error)

	// held is full while somebody has the bus; reads queue up before it, so that
	// a write waits for one of them at most.
	held, reads chan struct{}
	closed      chan struct{}
	// Owned by who has the bus: the connection, nil while there is none, and the
	// units that have answered their last request.
	line     asker
	answered map[byte]bool
}

// asker is a connection that asks units.
type asker interface {
	// Ask waits no longer than a unit may take.
	Ask(ctx context.Context, r modbus.Request) ([]byte, error)
	// alive is false if it is known to be of no use, before anything is sent.
	alive() bool
	// spent tells whether the connection is of no use after an error.
	spent(err error) bool
	close() error
}

// Modbus gives a bus by name. It connects when it is first asked something.
func (s *Set) Modbus(name string) (*Modbus, error) {
	if err := s.Check(Place{Bus: name, Kind: KindModbus}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed()
	}
	if b := s.modbus[name]; b != nil {
		return b, nil
	}
	b := &Modbus{name: name, held: make(chan struct{}, 1), reads: make(chan struct{}, 1), closed: make(chan struct{}), answered: make(map[byte]bool)}
	switch c := s.config(name).(type) {
	case *RTUConfig:
		b.timeout, b.retries = c.Timeout, c.Retries
		b.connect = func(ctx context.Context) (asker, error) { return s.openRTU(ctx, c) }
	case *TCPConfig:
		b.timeout = c.Timeout
		b.connect = c.dial
	default:
		return nil, fmt.Errorf("bus %s: its config is %T: %w", name, c, gateway.ErrInvalid)
	}
	s.modbus[name] = b
	return b, nil
}

// String is the name of the bus in the config.
func (b *Modbus) String() string { return b.name }

// Ask sends a request and returns the values of the answer. A read whose answer
// was damaged, or is missing for the first time, is repeated; a write is not,
// since it may have been carried out.
// The errors are those of package modbus; a unit that does not answer is
// gateway.ErrUnavailable, too.
func (b *Modbus) Ask(ctx context.Context, r modbus.Request) ([]byte, error) {
	if err := b.take(ctx, r.Writes()); err != nil {
		return nil, err
	}
	defer func() { <-b.held }()
	for try := 0; ; try++ {
		values, err := b.ask(ctx, r)
		again := damaged(err)
		switch {
		case err == nil:
			b.answered[r.Unit()] = true
		case errors.Is(err, gateway.ErrTimeout):
			again = again || b.answered[r.Unit()]
			b.answered[r.Unit()] = false
		}
		if err == nil || r.Writes() || try >= b.retries || !again || ctx.Err() != nil {
			return values, err
		}
	}
}

// damaged tells whether an error is of the line and not of the unit.
func damaged(err error) bool {
	var refused modbus.Exception
	return errors.Is(err, gateway.ErrInvalid) && !errors.As(err, &refused)
}

// take waits for the bus.
func (b *Modbus) take(ctx context.Context, urgent bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !urgent {
		select {
		case b.reads <- struct{}{}:
			defer func() { <-b.reads }()
		case <-ctx.Done():
			return fmt.Errorf("%s is busy: %w", b.name, ctx.Err())
		}
	}
	select {
	case b.held <- struct{}{}:
		return nil
	case <-b.closed:
		return errClosed()
	case <-ctx.Done():
		return fmt.Errorf("%s is busy: %w", b.name, ctx.Err())
	}
}

// ask is called by who has the bus.
func (b *Modbus) ask(ctx context.Context, r modbus.Request) ([]byte, error) {
	reused := b.line != nil
	values, err := b.try(ctx, r)
	if reused && b.line == nil && !r.Writes() && !errors.Is(err, gateway.ErrTimeout) && ctx.Err() == nil {
		return b.try(ctx, r) // the other side has closed what was idle
	}
	return values, err
}

func (b *Modbus) try(ctx context.Context, r modbus.Request) ([]byte, error) {
	if err := b.join(ctx); err != nil {
		return nil, err
	}
	values, err := b.line.Ask(ctx, r)
	var refused modbus.Exception
	if err == nil || errors.As(err, &refused) {
		return values, err
	}
	if b.line.spent(err) {
		b.part()
	}
	if errors.Is(err, gateway.ErrTimeout) && ctx.Err() == nil { // else it has not had its time
		err = fmt.Errorf("%w: %w", err, gateway.ErrUnavailable)
	}
	return nil, err
}

// join connects, if there is no connection that can be used. To learn that from
// a write would leave open whether it was carried out.
func (b *Modbus) join(ctx context.Context) error {
	if b.line != nil && !b.line.alive() {
		b.part()
	}
	if b.line != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	line, err := b.connect(ctx)
	if err != nil {
		return err
	}
	b.line = line
	return nil
}

// part closes a connection that does not work any more; that it does not close
// either says nothing.
func (b *Modbus) part() {
	_ = b.line.close()
	b.line = nil
}

// close lets nobody have the bus any more and closes the connection.
func (b *Modbus) close(grace time.Duration) error {
	close(b.closed)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case b.held <- struct{}{}:
	case <-timer.C:
		return fmt.Errorf("bus %s is left behind with a request that does not come back: %w", b.name, gateway.ErrTimeout)
	}
	if b.line == nil {
		return nil
	}
	return b.line.close()
}
