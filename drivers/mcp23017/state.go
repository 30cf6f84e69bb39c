package mcp23017

import "github.com/fieldpost/fieldpost/gateway"

// State implements gateway.Stateful.
func (d *Dev) State() map[string]gateway.Value { return d.known.State() }

// After implements gateway.Stateful. After a pulse all is as before.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	after := d.known.State()
	if cmd.Action == "set" {
		name, _ := cmd.Args["pin"].(string)
		on, _ := cmd.Args["on"].(bool)
		after[name] = gateway.Bool(on)
	}
	return after
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	rest := make(map[string]gateway.Value)
	for _, p := range d.config.Pins {
		if p.output() && p.Safe != "keep" {
			rest[p.Name] = gateway.Bool(p.Safe == "on")
		}
	}
	return rest
}

// know notes what the outputs are, as latch has it. The caller has mu.
func (d *Dev) know() {
	for _, p := range d.config.Pins {
		if p.output() {
			d.known.Know(p.Name, gateway.Bool(p.on(d.latch)))
		}
	}
}
