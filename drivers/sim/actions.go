package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Bounds of a pulse in milliseconds.
const (
	minPulse = 1.0
	maxPulse = 500.0
)

// Actions implements gateway.Actuator.
func (d *Dev) Actions() []gateway.Action {
	low, high := minPulse, maxPulse
	return []gateway.Action{{
		Name: "relay", Help: "Switches the relay and leaves it so.", Idempotent: true,
		Args: []gateway.Arg{{Name: "on", Type: gateway.ArgBool, Required: true, Help: "true closes the contact"}},
	}, {
		Name: "pulse", Help: "Switches the relay on for a moment and then back to what it was.", Momentary: true,
		Args: []gateway.Arg{{
			Name: "ms", Type: gateway.ArgInteger, Unit: "ms", Required: true, Min: &low, Max: &high,
			Help: "how long it is on",
		}},
	}}
}

// Do implements gateway.Actuator. It reports what the relay is afterwards.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	for _, action := range d.Actions() {
		if action.Name != cmd.Action {
			continue
		}
		if err := action.Check(cmd.Args); err != nil {
			return nil, err
		}
		if err := d.begin(ctx); err != nil {
			return nil, err
		}
		defer d.end()
		return d.act(ctx, cmd)
	}
	return nil, fmt.Errorf("there is no action %.40q; want relay or pulse: %w", cmd.Action, gateway.ErrDenied)
}

// act carries out a command whose arguments are right.
func (d *Dev) act(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	if cmd.Action == "relay" {
		on, _ := cmd.Args["on"].(bool)
		if err := d.journal.note(cmd.ID, "relay", fmt.Sprintf("on=%t", on)); err != nil {
			return nil, err
		}
		d.set(on)
		return map[string]any{"relay": on}, nil
	}
	ms, _ := cmd.Args["ms"].(float64)
	if err := d.journal.note(cmd.ID, "pulse", fmt.Sprintf("ms=%v", ms)); err != nil {
		return nil, err
	}
	before, err := d.pulse(ctx, time.Duration(ms)*time.Millisecond)
	return map[string]any{"relay": before}, err
}

// pulse has the relay on for so long; it ends early with ctx. In either case
// the relay is as before.
func (d *Dev) pulse(ctx context.Context, length time.Duration) (before bool, err error) {
	before = d.set(true)
	defer d.set(before)
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return before, nil
	case <-ctx.Done():
		return before, fmt.Errorf("the pulse of %v was cut short: %w", length, ctx.Err())
	}
}

// Safe implements gateway.Safer.
func (d *Dev) Safe(ctx context.Context) error {
	if d.config.Safe == "keep" {
		return nil
	}
	if err := d.begin(ctx); err != nil {
		return fmt.Errorf("safe state: %w", err)
	}
	defer d.end()
	on := d.config.Safe == "on"
	detail := "off"
	if on {
		detail = "on"
	}
	if err := d.journal.note("-", "safe", detail); err != nil {
		return err
	}
	d.set(on)
	return nil
}
