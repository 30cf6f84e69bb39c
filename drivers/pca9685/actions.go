package pca9685

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Actions implements gateway.Actuator.
func (d *Dev) Actions() []gateway.Action {
	var names []string
	var actions []gateway.Action
	for _, o := range d.config.Outputs {
		names = append(names, o.Name)
		least, most, unit := o.bounds()
		help := "Sets how long the output is on, in % of the time."
		if o.servo() {
			help = "Moves the servo to an angle and holds it there."
		}
		actions = append(actions, gateway.Action{
			Name: "set_" + o.Name, Help: help, Idempotent: true,
			Args: []gateway.Arg{{Name: "value", Type: gateway.ArgNumber, Unit: unit, Required: true, Min: &least, Max: &most}},
		})
	}
	return append(actions, gateway.Action{
		Name: "off", Help: "Ends the pulses of an output; a servo can then be moved by hand.", Idempotent: true,
		Args: []gateway.Arg{{Name: "output", Type: gateway.ArgText, Required: true, OneOf: names}},
	})
}

// Do implements gateway.Actuator.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	actions := d.Actions()
	i := slices.IndexFunc(actions, func(a gateway.Action) bool { return a.Name == cmd.Action })
	if i < 0 {
		return nil, fmt.Errorf("there is no action %.40q; want off, or set_ and the name of an output: %w", cmd.Action, gateway.ErrDenied)
	}
	if err := actions[i].Check(cmd.Args); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if cmd.Action == "off" {
		name := cmd.Args["output"]
		i = slices.IndexFunc(d.config.Outputs, func(o Output) bool { return o.Name == name })
		return map[string]any{"active": false}, d.set(ctx, i, nil)
	}
	value, _ := cmd.Args["value"].(float64)
	return map[string]any{"value": value}, d.set(ctx, i, &value)
}

// set gives one output a value, nil for off. If it fails nobody knows what the
// output has, and all take their safe state when the chip is opened anew.
func (d *Dev) set(ctx context.Context, output int, value *float64) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case d.chip == nil:
		return bus.ErrNotOpen
	}
	o, on := d.config.Outputs[output], 0
	if value != nil {
		on = d.config.on(o, *value)
	}
	d.sure = false
	d.known.Forget(o.Name, o.active())
	if err := d.chip.Tx(append([]byte{byte(regOutputs + 4*o.Channel)}, pulse(on)...), nil); err != nil {
		return err
	}
	d.values[output], d.sure = value, true
	d.know(o, value)
	return nil
}

// Safe implements gateway.Safer.
func (d *Dev) Safe(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for i, o := range d.config.Outputs { // one that fails keeps no other from it
		if err := d.set(ctx, i, o.Safe); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Name, err))
		}
	}
	d.sure = d.sure && errs == nil
	return errors.Join(errs...)
}
