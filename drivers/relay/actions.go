package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxPulse bounds a pulse, during which other commands wait.
	maxPulse = 10 * time.Second
	// pulseMargin is what a pulse may take beside its length.
	pulseMargin = 5 * time.Second
)

// Actions implements gateway.Actuator.
func (d *Dev) Actions() []gateway.Action {
	low, high := 1.0, float64(maxPulse.Milliseconds())
	return []gateway.Action{
		{Name: "on", Help: "Switches on and leaves it so.", Idempotent: true},
		{Name: "off", Help: "Switches off and leaves it so.", Idempotent: true},
		{
			Name: "set", Help: "Switches on or off and leaves it so.", Idempotent: true,
			Args: []gateway.Arg{{Name: "on", Type: gateway.ArgBool, Required: true, Help: "true is on"}},
		},
		{
			Name: "pulse", Help: "Switches on for a moment and off again; denied if it is on already.", Momentary: true,
			Timeout: maxPulse + pulseMargin,
			Args: []gateway.Arg{{
				Name: "ms", Type: gateway.ArgInteger, Unit: "ms", Required: true, Min: &low, Max: &high,
				Help: "how long it is on",
			}},
		},
	}
}

// Do implements gateway.Actuator. It reports what the relay is afterwards.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	for _, action := range d.Actions() {
		if action.Name != cmd.Action {
			continue
		}
		if err := errors.Join(action.Check(cmd.Args), ctx.Err()); err != nil {
			return nil, fmt.Errorf("nothing was switched: %w", err)
		}
		if cmd.Action == "pulse" {
			ms, _ := cmd.Args["ms"].(float64)
			return d.pulse(ctx, time.Duration(ms)*time.Millisecond)
		}
		on, _ := cmd.Args["on"].(bool)
		return d.set(on || cmd.Action == "on")
	}
	return nil, fmt.Errorf("there is no action %.40q; want on, off, set or pulse: %w", cmd.Action, gateway.ErrUnknown)
}

// set switches as a command asks for.
func (d *Dev) set(on bool) (map[string]any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return nil, bus.ErrNotOpen
	}
	err := d.turn(on)
	return d.values(), err
}

// values are what a command reports. The caller has mu.
func (d *Dev) values() map[string]any { return map[string]any{"on": d.out.Active()} }

// pulse has the relay on for so long. It ends early with ctx.
func (d *Dev) pulse(ctx context.Context, length time.Duration) (map[string]any, error) {
	began := time.Now()
	off, err := d.beginPulse(length)
	if err != nil {
		return nil, err
	}
	select {
	case <-off:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off == off { // it is still under way
		d.goOff()
		err = fmt.Errorf("the pulse of %v was cut short: %w", length, ctx.Err())
	} else if lasted := time.Since(began); lasted < length {
		err = fmt.Errorf("the pulse was cut short after %v, since the safe state was taken", lasted.Round(time.Millisecond))
	}
	if d.out == nil {
		return nil, errors.Join(err, bus.ErrNotOpen)
	}
	return d.values(), errors.Join(err, d.overdue)
}

func (d *Dev) beginPulse(length time.Duration) (off chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.out == nil:
		return nil, bus.ErrNotOpen
	case d.out.Active():
		return nil, fmt.Errorf("it is on, and a pulse would end that: %w", gateway.ErrDenied)
	}
	if err := d.turn(true); err != nil {
		return nil, err
	}
	d.off = make(chan struct{})
	d.offAfter(length)
	return d.off, nil
}
