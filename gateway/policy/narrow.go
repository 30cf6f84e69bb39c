package policy

import (
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// Narrow is an actuator that declares its actions within the bounds of a config, so
// that they are shown, and commands beyond them denied, like those of the driver; and
// who may ask for them.
func Narrow(a gateway.Actuator, c Terms) gateway.Actuator {
	if len(c.Limits) == 0 && !c.timed() && c.Allow == nil && len(c.AllowActions) == 0 {
		return a
	}
	return &narrowed{a, c}
}

type narrowed struct {
	gateway.Actuator
	config Terms
}

// Actions implements gateway.Actuator.
func (n *narrowed) Actions() []gateway.Action {
	declared := n.Actuator.Actions()
	if declared == nil { // it is not known yet
		return nil
	}
	actions := make([]gateway.Action, 0, len(declared))
	for _, action := range declared {
		action.Args, action.Allowed = slices.Clone(action.Args), n.config.allowed(action.Name)
		possible := true
		for i := range action.Args {
			arg := &action.Args[i]
			n.narrow(action, arg)
			possible = possible && (arg.Min == nil || arg.Max == nil || *arg.Min <= *arg.Max)
		}
		if possible {
			actions = append(actions, action)
		}
	}
	return actions
}

// narrow bounds one argument; how long a moment lasts is bounded by the times of
// the output, too.
func (n *narrowed) narrow(action gateway.Action, arg *gateway.Arg) {
	r := n.config.Limits[action.Name][arg.Name]
	if action.Momentary && arg.Name == lengthArg {
		if least := float64(n.config.MinOn.Milliseconds()); n.config.MinOn > 0 {
			r.Min = higher(r.Min, &least)
		}
		if most := float64(n.config.MaxOn.Milliseconds()); n.config.MaxOn > 0 {
			r.Max = lower(r.Max, &most)
		}
	}
	arg.Min, arg.Max = higher(arg.Min, r.Min), lower(arg.Max, r.Max)
}

// lengthArg is the argument that gives the length of what is momentary.
const lengthArg = "ms"

// higher and lower are the narrower of two bounds; nil is none.
func higher(a, b *float64) *float64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

func lower(a, b *float64) *float64 {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}
