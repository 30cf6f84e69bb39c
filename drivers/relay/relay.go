// Package relay switches what hangs on one GPIO line: a relay, a contactor, a
// valve, a lamp.
//
// Readings:
//
//	on   what was last asked of the line; it is never read back, since what a
//	     line shows may be the doing of what hangs on it
//
// The line is driven at its safe level from the first moment; before that, from
// the power-on of the board to the start of the gateway, the pull of the relay
// board decides, and most chips and kernels leave a line as it is when the
// gateway ends, some let go of it. Choose relay and pull so that an open line is
// safe.
//
// A pulse ends by itself, also when whoever asked for it is gone. A relay that does
// not go off is told to again, each second.
package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a relay.
type Config struct {
	bus.LineConfig

	ActiveLow bool   `yaml:"active_low" doc:"The relay is on while the line is low, as with most relay boards with optocouplers." default:"false"`
	Safe      string `yaml:"safe" doc:"State that the relay takes at start and stop and when its line is found again; keep leaves it as it is." default:"off" oneof:"off|on|keep"`
}

// States of safe.
const (
	safeOn   = "on"
	safeKeep = "keep"
)

// Quantities are what is read of it.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"on": gateway.Bool(false)}
}

// Validate checks what no tag can say.
func (c Config) Validate() error {
	return c.LineConfig.Validate()
}

// Dev is a relay.
type Dev struct {
	config Config
	buses  *bus.Set
	timers sync.WaitGroup // those that are set

	known bus.Known

	mu  sync.Mutex // guards the rest
	out *bus.Output
	// offTimer ends a pulse; nil if none is under way.
	offTimer *time.Timer
	// off is closed when a pulse is over, for whatever reason.
	off chan struct{}
	// overdue says why it did not go off when it had to.
	overdue error
}

// New returns a relay whose line is not touched before Open.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses}, nil
}

// Open implements gateway.Opener: it takes the line, in its safe state.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out != nil {
		return nil
	}
	out, err := d.buses.Output(d.config.LineConfig, bus.OutputOptions{
		ActiveLow: d.config.ActiveLow, Initial: d.config.Safe == safeOn, Keep: d.config.Safe == safeKeep,
	})
	if err != nil {
		return err
	}
	d.out, d.overdue = out, nil
	d.known.Know("on", gateway.Bool(out.Active()))
	return nil
}

// Read implements gateway.Sensor.
func (d *Dev) Read(context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return nil, bus.ErrNotOpen
	}
	if err := d.out.Check(); err != nil {
		return nil, fmt.Errorf("the relay cannot be switched: %w", err)
	}
	return []gateway.Reading{{Name: "on", Value: gateway.Bool(d.out.Active())}}, d.overdue
}

// Safe implements gateway.Safer.
func (d *Dev) Safe(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return bus.ErrNotOpen
	}
	return d.safe()
}

// safe takes the safe state. The caller has mu.
func (d *Dev) safe() error {
	switch d.config.Safe {
	case safeKeep:
		return nil
	case safeOn:
		d.cancel()
		return d.turn(true)
	}
	d.goOff()
	return d.overdue
}

// Close takes the safe state and gives the line back. It may be called twice.
func (d *Dev) Close() error {
	d.mu.Lock()
	var err error
	if d.out != nil {
		err = errors.Join(d.safe(), d.out.Close())
		d.out = nil
		d.known.ForgetAll()
	}
	d.cancel() // also if it is kept, or does not go off
	d.mu.Unlock()
	d.timers.Wait()
	return err
}
