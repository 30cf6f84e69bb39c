package scene

import (
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// actionRun is the one action of a scene.
const actionRun = "run"

const (
	// slack is what a group gives its members beside the time of their action, to
	// have their turn.
	slack = 10 * time.Second
	// courtesy is left of the time of an action for its result.
	courtesy = time.Second
)

// actions of a scene: it is run.
func (c *Plan) actions() []gateway.Action {
	return []gateway.Action{{
		Name: actionRun, Help: "Takes the steps of the scene, one after the other.",
		Resumable: true, Timeout: c.Within + undoTime + courtesy,
	}}
}

// common are the actions that all members of a group have, with the bounds that all
// of them allow; nil if those of a member are not known.
func common(members []string, of func(gateway.DeviceID) []gateway.Action) []gateway.Action {
	list := []gateway.Action{}
	for i, m := range members {
		actions := of(gateway.DeviceID(m))
		switch {
		case actions == nil:
			return nil
		case i == 0:
			list = append(list, actions...)
		default:
			list = meet(list, actions)
		}
	}
	for i := range list {
		list[i].Resumable = true
		list[i].Timeout += slack + courtesy
	}
	return list
}

// meet keeps what both lists have.
func meet(a, b []gateway.Action) (both []gateway.Action) {
	both = []gateway.Action{}
	for _, x := range a {
		i := slices.IndexFunc(b, func(y gateway.Action) bool { return y.Name == x.Name })
		if i < 0 {
			continue
		}
		y := b[i]
		args, ok := meetArgs(x.Args, y.Args)
		if !ok {
			continue
		}
		x.Args, x.Idempotent, x.Timeout = args, x.Idempotent && y.Idempotent, max(x.Timeout, y.Timeout)
		x.Allowed = allowedBoth(x.Allowed, y.Allowed)
		both = append(both, x)
	}
	return both
}

// allowedBoth are those who are allowed twice; nil allows everybody.
func allowedBoth(a, b []string) []string {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(who string) bool { return !slices.Contains(b, who) })
}

// meetArgs are arguments that suit both; ok is false if the arguments are not the
// same in name, type and unit.
func meetArgs(a, b []gateway.Arg) (both []gateway.Arg, ok bool) {
	if len(a) != len(b) {
		return nil, false
	}
	for _, x := range a {
		i := slices.IndexFunc(b, func(y gateway.Arg) bool { return y.Name == x.Name && y.Type == x.Type && y.Unit == x.Unit })
		if i < 0 {
			return nil, false
		}
		y := b[i]
		x.Required = x.Required || y.Required
		x.Min, x.Max = tighter(x.Min, y.Min, true), tighter(x.Max, y.Max, false)
		if len(x.OneOf) == 0 {
			x.OneOf = y.OneOf
		} else if len(y.OneOf) > 0 {
			x.OneOf = slices.DeleteFunc(slices.Clone(x.OneOf), func(s string) bool { return !slices.Contains(y.OneOf, s) })
			if len(x.OneOf) == 0 {
				return nil, false
			}
		}
		if x.Min != nil && x.Max != nil && *x.Min > *x.Max {
			return nil, false
		}
		if x.Type == gateway.ArgText {
			x.MaxBytes = min(bytesOf(x), bytesOf(y))
		}
		both = append(both, x)
	}
	return both, true
}

// bytesOf is how long a text may be.
func bytesOf(a gateway.Arg) int {
	if a.MaxBytes == 0 {
		return gateway.MaxArgText
	}
	return a.MaxBytes
}

// tighter is the bound that allows less; nil allows everything.
func tighter(a, b *float64, least bool) *float64 {
	if a == nil || b != nil && (*b > *a) == least {
		return b
	}
	return a
}
