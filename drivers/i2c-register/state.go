package i2cregister

import (
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// State implements gateway.Stateful: what was written last.
func (d *Dev) State() map[string]gateway.Value { return d.known.State() }

// After implements gateway.Stateful.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	after := d.known.State()
	value, _ := cmd.Args["value"].(float64)
	after[strings.TrimPrefix(cmd.Action, "set_")] = gateway.Number(value)
	return after
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	rest := make(map[string]gateway.Value)
	for _, o := range d.config.Outputs {
		if o.Safe != nil {
			rest[o.Name] = gateway.Number(*o.Safe)
		}
	}
	return rest
}
