package pca9685

import (
	"maps"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// State implements gateway.Stateful.
func (d *Dev) State() map[string]gateway.Value { return d.known.State() }

// After implements gateway.Stateful.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	var value *float64
	name, _ := cmd.Args["output"].(string)
	if v, given := cmd.Args["value"].(float64); given {
		value, name = &v, strings.TrimPrefix(cmd.Action, "set_")
	}
	after := d.known.State()
	for _, o := range d.config.Outputs {
		if o.Name == name {
			delete(after, o.Name)
			maps.Copy(after, o.state(value))
		}
	}
	return after
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	rest := make(map[string]gateway.Value)
	for _, o := range d.config.Outputs {
		maps.Copy(rest, o.state(o.Safe))
	}
	return rest
}

// know notes the value that an output has, nil for off.
func (d *Dev) know(o Output, value *float64) {
	d.known.Forget(o.Name)
	for name, v := range o.state(value) {
		d.known.Know(name, v)
	}
}

// state is what is read of an output with a value, nil for off.
func (o Output) state(value *float64) map[string]gateway.Value {
	state := make(map[string]gateway.Value)
	switch {
	case value != nil:
		state[o.Name] = gateway.Number(*value)
	case !o.servo():
		state[o.Name] = gateway.Number(0)
	}
	if o.servo() {
		state[o.active()] = gateway.Bool(value != nil)
	}
	return state
}

// active is the name of the reading that tells whether a servo gets pulses.
func (o Output) active() string { return o.Name + ".active" }
