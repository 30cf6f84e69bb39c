package modbus

import "github.com/fieldpost/fieldpost/gateway"

// State implements gateway.Stateful: what registers that can be written held when
// they were last written or read. What somebody else writes shows with the next
// reading.
func (d *Dev) State() map[string]gateway.Value { return d.known.State() }

// After implements gateway.Stateful.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	after := d.known.State()
	for name, v := range cmd.Args {
		after[name] = stateValue(v)
	}
	return after
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	rest := make(map[string]gateway.Value)
	for name, v := range d.safe() {
		rest[name] = stateValue(v)
	}
	return rest
}

// safe has what the safe state writes, as a command would.
func (d *Dev) safe() map[string]any {
	values := make(map[string]any)
	for _, r := range d.writable() {
		v, given := d.config.Safe[r.Name]
		switch {
		case given && r.Table == "coil":
			values[r.Name] = v != 0
		case given:
			values[r.Name] = v
		}
	}
	return values
}

// stateValue is the value of an argument.
func stateValue(v any) gateway.Value {
	if on, ok := v.(bool); ok {
		return gateway.Bool(on)
	}
	number, _ := v.(float64)
	return gateway.Number(number)
}
