// Package i2cregister reads and writes the registers of an I2C chip that has no
// driver of its own: what is where, and what it means, stands in the config.
//
// Readings: one for each of values, a number with a unit or a state. Actions: one
// for each of outputs, set_NAME. Outputs are written whole; what else is in their
// register must not be needed.
//
// Each value is read in a transaction of its own. The source is the data sheet of
// the chip; whether the map is right, only a comparison with a known value can
// tell.
package i2cregister

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Dev is one chip.
type Dev struct {
	config Config
	buses  *bus.Set
	known  bus.Known

	mu   sync.Mutex
	chip *i2c.Dev // nil while closed
}

// New returns a chip that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses}, nil
}

// Open finds the chip and sets it up, its outputs in their safe state.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	d.chip = &i2c.Dev{Bus: b, Addr: d.config.Address}
	if err := d.setUp(ctx); err != nil {
		d.chip = nil
		return err
	}
	return nil
}

func (d *Dev) setUp(ctx context.Context) error {
	if id := d.config.ID; id != nil {
		answer, err := d.read(id.Register, id.Bytes)
		if err != nil {
			return err
		}
		if n := id.number(answer); n&id.Mask != id.Equals {
			return fmt.Errorf("another chip answers: its register %#x has %#x, want %#x: %w", id.Register, n&id.Mask, id.Equals, gateway.ErrUnavailable)
		}
	}
	if err := d.steps(ctx, d.config.Init); err != nil {
		return err
	}
	if err := d.verify(); err != nil {
		return err
	}
	return d.safe()
}

// Close implements the contract of drivers. The chip stays as it is.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chip = nil
	d.known.ForgetAll()
	return nil
}

// Read implements gateway.Sensor.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.chip == nil:
		return nil, bus.ErrNotOpen
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if err := d.steps(ctx, d.config.Before); err != nil {
		return nil, err
	}
	var readings []gateway.Reading
	var faults []error
	for _, v := range d.config.Values {
		answer, err := d.read(v.Register, v.Bytes)
		if err != nil {
			return nil, err
		}
		reading, err := v.decode(answer)
		readings, faults = append(readings, reading), append(faults, err)
	}
	if err := d.verify(); err != nil { // last, so that it stands for all before
		return nil, err
	}
	return readings, errors.Join(faults...)
}

// steps writes what belongs to a set-up.
func (d *Dev) steps(ctx context.Context, steps []Write) error {
	for _, w := range steps {
		if err := d.chip.Tx(append(d.register(w.Register), w.Write...), nil); err != nil {
			return err
		}
		if w.Pause == 0 {
			continue
		}
		if err := bus.Wait(ctx, w.Pause); err != nil {
			return err
		}
	}
	return nil
}

// verify reads back what init has written.
func (d *Dev) verify() error {
	for _, w := range d.config.Init {
		if !w.Verify {
			continue
		}
		is, err := d.read(w.Register, len(w.Write))
		if err != nil {
			return err
		}
		if !slices.Equal(is, w.Write) {
			return fmt.Errorf("register %#x has %x in place of %x; has the chip lost its power, or is it another one? %w", w.Register, is, w.Write, gateway.ErrUnavailable)
		}
	}
	return nil
}

func (d *Dev) read(register uint16, n int) ([]byte, error) {
	answer := make([]byte, n)
	return answer, d.chip.Tx(d.register(register), answer)
}

// register is the number of a register as it is sent.
func (d *Dev) register(n uint16) []byte {
	if d.config.Long {
		return []byte{byte(n >> 8), byte(n)}
	}
	return []byte{byte(n)}
}

// Actions implements gateway.Actuator.
func (d *Dev) Actions() []gateway.Action {
	var actions []gateway.Action
	for _, o := range d.config.Outputs {
		low, high := o.Min, o.Max
		actions = append(actions, gateway.Action{
			Name: "set_" + o.Name, Help: fmt.Sprintf("Writes %s into register %#x.", o.Name, o.Register), Idempotent: true,
			Args: []gateway.Arg{{Name: "value", Type: gateway.ArgNumber, Unit: o.Unit, Required: true, Min: &low, Max: &high}},
		})
	}
	return actions
}

// Do implements gateway.Actuator.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	i := slices.IndexFunc(d.config.Outputs, func(o Output) bool { return "set_"+o.Name == cmd.Action })
	if i < 0 {
		return nil, fmt.Errorf("there is no action %.40q; want set_ and the name of an output: %w", cmd.Action, gateway.ErrDenied)
	}
	if err := d.Actions()[i].Check(cmd.Args); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case d.chip == nil:
		return nil, bus.ErrNotOpen
	}
	value, _ := cmd.Args["value"].(float64)
	if err := d.set(d.config.Outputs[i], value); err != nil {
		return nil, err
	}
	return map[string]any{"value": value}, nil
}

func (d *Dev) set(o Output, value float64) error {
	b, err := o.encode(value)
	if err != nil {
		return err
	}
	d.known.Forget(o.Name)
	if err := d.chip.Tx(append(d.register(o.Register), b...), nil); err != nil {
		return err
	}
	d.known.Know(o.Name, gateway.Number(value))
	return nil
}

// Safe implements gateway.Safer.
func (d *Dev) Safe(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case d.chip == nil:
		return bus.ErrNotOpen
	}
	return d.safe()
}

// safe takes the safe state; an output that fails keeps no other from it.
func (d *Dev) safe() error {
	var errs []error
	for _, o := range d.config.Outputs {
		if o.Safe == nil {
			continue
		}
		if err := d.set(o, *o.Safe); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Name, err))
		}
	}
	return errors.Join(errs...)
}
