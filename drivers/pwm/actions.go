package pwm

import (
	"context"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Actions implements gateway.Actuator.
func (d *Dev) Actions() []gateway.Action {
	low, high := d.config.frequencies()
	minFrequency, maxFrequency := float64(low), float64(high)
	minDuty, maxDuty := d.config.MinDuty, d.config.MaxDuty
	return []gateway.Action{{
		Name: "set", Help: "Sets the duty, and the frequency if it is given.", Idempotent: true,
		Args: []gateway.Arg{
			{Name: "duty", Type: gateway.ArgNumber, Unit: "%", Required: true, Min: &minDuty, Max: &maxDuty, Help: "share of the period in which the output is active"},
			{Name: "frequency", Type: gateway.ArgNumber, Unit: "Hz", Min: &minFrequency, Max: &maxFrequency},
		},
	}, {
		Name: "off", Help: "Sets the duty to 0 and leaves the frequency.", Idempotent: true,
	}}
}

// Do implements gateway.Actuator. It reports what the output is afterwards.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	for _, action := range d.Actions() {
		if action.Name != cmd.Action {
			continue
		}
		if err := errors.Join(action.Check(cmd.Args), ctx.Err()); err != nil {
			return nil, fmt.Errorf("nothing was set: %w", err)
		}
		duty, _ := cmd.Args["duty"].(float64) // off has none: 0
		frequency, _ := cmd.Args["frequency"].(float64)
		return d.setTo(duty, frequency)
	}
	return nil, fmt.Errorf("there is no action %.40q; want set or off: %w", cmd.Action, gateway.ErrUnknown)
}

// setTo sets the duty, and the frequency unless it is 0.
func (d *Dev) setTo(duty, frequency float64) (map[string]any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return nil, bus.ErrNotOpen
	}
	if frequency == 0 {
		frequency = d.frequency
	}
	err := d.apply(frequency, duty)
	return map[string]any{"duty": d.duty, "frequency": d.frequency}, err
}
