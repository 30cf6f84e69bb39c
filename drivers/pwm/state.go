package pwm

import "github.com/fieldpost/fieldpost/gateway"

// State implements gateway.Stateful.
func (d *Dev) State() map[string]gateway.Value { return d.known.State() }

// After implements gateway.Stateful.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	after := d.known.State()
	duty, _ := cmd.Args["duty"].(float64) // off has none: 0
	after["duty"] = gateway.Number(duty)
	if frequency, given := cmd.Args["frequency"].(float64); given {
		after["frequency"] = gateway.Number(frequency)
	}
	return after
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	return map[string]gateway.Value{
		"duty": gateway.Number(d.config.SafeDuty), "frequency": gateway.Number(float64(d.config.Frequency)),
	}
}
