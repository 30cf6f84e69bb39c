package relay

import "github.com/fieldpost/fieldpost/gateway"

// State implements gateway.Stateful.
func (d *Dev) State() map[string]gateway.Value { return d.known.State() }

// After implements gateway.Stateful. A pulse ends with the relay off.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	on, _ := cmd.Args["on"].(bool)
	return map[string]gateway.Value{"on": gateway.Bool(on || cmd.Action == "on")}
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	if d.config.Safe == safeKeep {
		return nil
	}
	return map[string]gateway.Value{"on": gateway.Bool(d.config.Safe == safeOn)}
}
