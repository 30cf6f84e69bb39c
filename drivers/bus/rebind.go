package bus

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// The names of the steps of a recovery.
const (
	stepRebind = "rebind"
	stepPower  = "power"
)

// reopening is how long a device file may take to come back.
const reopening = 5 * time.Second

// arm gives the wire its way of being freed.
func (s *Set) arm(w *wire, c *I2CConfig, a adapter) error {
	for _, name := range c.Recover {
		switch name {
		case stepRebind:
			if err := a.mayRebind(); err != nil {
				s.opts.Log.Warn("a bus cannot be freed by binding its driver anew", "bus", w.turn.bus, "error", err)
			}
			w.recovery.steps = append(w.recovery.steps, step{stepRebind, func(ctx context.Context) error {
				return w.rebind(ctx, a, s.opts.Hardware.I2C)
			}})
		case stepPower:
			if c.Power == nil {
				return fmt.Errorf("bus %s: recover has power, but there is no section power: %w", w.turn.bus, gateway.ErrInvalid)
			}
			line, err := s.request(c.Power.LineConfig, gpiochip.Config{Direction: gpiochip.Output, ActiveLow: c.Power.ActiveLow, Level: true})
			if err != nil {
				return fmt.Errorf("bus %s: power: %w", w.turn.bus, err)
			}
			w.power = &Output{line: line, active: true}
			w.recovery.steps = append(w.recovery.steps, step{stepPower, func(ctx context.Context) error {
				return w.cutPower(ctx, c.Power)
			}})
		}
	}
	return nil
}

// rebind takes the adapter from its driver and gives it back, which resets the
// controller and has it clock out what a chip still wants to say. It has the bus.
func (w *wire) rebind(ctx context.Context, a adapter, open func(number int) (i2c.BusCloser, error)) error {
	if w.bind == nil { // else its driver has not taken it back the last time
		if err := a.mayRebind(); err != nil {
			return err
		}
	}
	defer w.forgetAll()
	if err := w.bus.Close(); err != nil { // the driver waits for it
		return err
	}
	w.bus = absentBus{fmt.Errorf("%s is not open since its driver was bound anew: %w: %w", w.turn.bus, gateway.ErrTimeout, gateway.ErrUnavailable)}
	failed := w.bound(a)
	const step = 100 * time.Millisecond
	for waited := time.Duration(0); ; waited += step {
		opened, err := open(a.number)
		if err == nil {
			w.bus = opened
			return failed
		}
		if waited >= reopening {
			return fmt.Errorf("it cannot be opened again: %w", err)
		}
		if err := Wait(ctx, step); err != nil {
			return err
		}
	}
}

// bound takes the adapter from its driver, and has the driver take it back.
func (w *wire) bound(a adapter) (err error) {
	if w.bind == nil {
		if w.bind, err = a.unbind(); err != nil {
			return err
		}
	}
	if err = w.bind(); err == nil {
		w.bind = nil
	}
	return err
}

// cutPower takes the power from the chips for a time, so that the one that holds
// a wire low lets go of it. It has the bus.
func (w *wire) cutPower(ctx context.Context, c *PowerConfig) error {
	defer w.forgetAll()
	if err := w.power.Set(false); err != nil {
		return err
	}
	stopped := Wait(ctx, c.Off)
	if err := w.power.Set(true); err != nil {
		return fmt.Errorf("the chips are left without power: %w", err)
	}
	if stopped != nil {
		return stopped
	}
	return Wait(ctx, c.Settle)
}

// forgetAll means that no multiplexer is known to have its selection.
func (w *wire) forgetAll() { forget(w.trunk.all()) }

// absentBus stands for one that could not be opened again. What is asked of it
// times out, so that freeing it goes on.
type absentBus struct{ err error }

func (b absentBus) String() string                  { return "absent" }
func (b absentBus) Close() error                    { return nil }
func (b absentBus) SetSpeed(physic.Frequency) error { return b.err }
func (b absentBus) Tx(uint16, []byte, []byte) error { return b.err }
