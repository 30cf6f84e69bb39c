package sim

import "github.com/fieldpost/fieldpost/gateway"

// State implements gateway.Stateful.
func (d *Dev) State() map[string]gateway.Value {
	d.mu.Lock()
	defer d.mu.Unlock()
	return map[string]gateway.Value{"relay": gateway.Bool(d.relay)}
}

// After implements gateway.Stateful. After a pulse the relay is as before.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	on, given := cmd.Args["on"].(bool)
	if !given {
		return d.State()
	}
	return map[string]gateway.Value{"relay": gateway.Bool(on)}
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	if d.config.Safe == "keep" {
		return nil
	}
	return map[string]gateway.Value{"relay": gateway.Bool(d.config.Safe == "on")}
}
