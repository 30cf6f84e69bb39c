package mcp23017

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Bounds of a pulse in milliseconds.
const minPulse, maxPulse = 10.0, 10_000.0

// Actions implements gateway.Actuator.
func (d *Dev) Actions() []gateway.Action {
	var outputs []string
	for _, p := range d.config.Pins {
		if p.output() {
			outputs = append(outputs, p.Name)
		}
	}
	if outputs == nil {
		return nil
	}
	low, high := minPulse, maxPulse
	pin := gateway.Arg{Name: "pin", Type: gateway.ArgText, Required: true, OneOf: outputs, Help: "which output"}
	return []gateway.Action{{
		Name: "set", Help: "Switches an output and leaves it so.", Idempotent: true,
		Args: []gateway.Arg{pin, {Name: "on", Type: gateway.ArgBool, Required: true}},
	}, {
		Name: "pulse", Help: "Switches an output on for a moment and then back to what it was.", Momentary: true,
		Timeout: maxPulse*time.Millisecond + 5*time.Second,
		Args: []gateway.Arg{pin, {
			Name: "ms", Type: gateway.ArgInteger, Unit: "ms", Required: true, Min: &low, Max: &high, Help: "how long it is on",
		}},
	}}
}

// Do implements gateway.Actuator. It reports what the output is afterwards.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	actions := d.Actions()
	i := slices.IndexFunc(actions, func(a gateway.Action) bool { return a.Name == cmd.Action })
	if i < 0 {
		return nil, fmt.Errorf("there is no action %.40q; want set or pulse, of a pin with direction out: %w", cmd.Action, gateway.ErrDenied)
	}
	if err := actions[i].Check(cmd.Args); err != nil {
		return nil, err
	}
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	defer d.end()
	name, _ := cmd.Args["pin"].(string)
	pin := d.config.Pins[slices.IndexFunc(d.config.Pins, func(p Pin) bool { return p.Name == name })]
	if cmd.Action == "set" {
		on, _ := cmd.Args["on"].(bool)
		_, err := d.set(pin, on)
		return map[string]any{name: on}, err
	}
	ms, _ := cmd.Args["ms"].(float64)
	before, err := d.pulse(ctx, pin, time.Duration(ms)*time.Millisecond)
	return map[string]any{name: before}, err
}

// pulse has an output on for so long; it ends early with ctx. In either case the
// output is as before, also if nobody knows whether it has gone on.
func (d *Dev) pulse(ctx context.Context, pin Pin, length time.Duration) (before bool, err error) {
	before, err = d.set(pin, true)
	switch {
	case errors.Is(err, bus.ErrNotOpen):
		return before, err
	case err != nil:
		err = fmt.Errorf("the pulse has not begun as it should: %w", err)
	default:
		if err = bus.Wait(ctx, length); err != nil {
			err = fmt.Errorf("the pulse of %v was cut short: %w", length, err)
		}
	}
	if _, failed := d.set(pin, before); failed != nil {
		d.mean(pin, before)
		return before, errors.Join(err, fmt.Errorf("%s may still be on, until the chip is reached again: %w", pin.Name, failed))
	}
	return before, err
}

// Safe implements gateway.Safer.
func (d *Dev) Safe(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return fmt.Errorf("safe state: %w", err)
	}
	defer d.end()
	_, err := d.write(d.safe)
	return err
}

// set switches an output and returns what it was meant to be before.
func (d *Dev) set(pin Pin, on bool) (before bool, err error) {
	latch, err := d.write(func(latch uint16) uint16 { return latch&^pin.bit() | pin.level(on) })
	return pin.on(latch), err
}

// write changes the levels of the outputs and returns those before. If it fails
// nobody knows which they are, and they take their safe state when the chip is
// opened anew.
func (d *Dev) write(change func(latch uint16) uint16) (before uint16, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.chip == nil {
		return d.latch, bus.ErrNotOpen
	}
	latch := change(d.latch)
	d.sure = false
	d.known.ForgetAll()
	if err := d.chip.Tx([]byte{regLatch, byte(latch), byte(latch >> 8)}, nil); err != nil {
		return d.latch, err
	}
	before, d.latch, d.sure = d.latch, latch, true
	d.know()
	return before, nil
}

// mean is what an output has to be when the chip is reached again.
func (d *Dev) mean(pin Pin, on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latch, d.sure = d.latch&^pin.bit()|pin.level(on), false
	d.known.ForgetAll()
}

// begin waits until nobody else switches an output.
func (d *Dev) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // select alone would choose at random
		return fmt.Errorf("nothing was switched: %w", err)
	}
	select {
	case d.acting <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("another output is in the middle of a pulse: %w", ctx.Err())
	}
}

func (d *Dev) end() { <-d.acting }
