package pipeline

import (
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// maxScopes bounds the devices that a device may stand for, as far as
// expressions go.
const maxScopes = 256

// scope is one device as expressions see it: the latest values of the
// quantities that they name.
type scope struct {
	device gateway.DeviceID
	// values are those that were measured, for the language.
	values map[string]any
	inputs map[string]*input
	// fresh are the inputs that came since expressions were last calculated.
	fresh   []string
	watches []watch // by the number of the rule
}

// input is the latest reading of a quantity.
type input struct {
	gateway.Reading
	at time.Time // monotonic
}

func newScope(device gateway.DeviceID, rules int) *scope {
	return &scope{device: device, values: make(map[string]any), inputs: make(map[string]*input), watches: make([]watch, rules)}
}

// isFresh tells whether any of the quantities is.
func (s *scope) isFresh(names []string) bool {
	return slices.ContainsFunc(s.fresh, func(name string) bool { return slices.Contains(names, name) })
}

// put takes a reading whose value is finite.
func (s *scope) put(r *gateway.Reading, now time.Time) {
	in := s.inputs[r.Name]
	if in == nil {
		in = &input{}
		s.inputs[r.Name] = in
	}
	*in = input{*r, now}
	s.values[r.Name] = expression.Plain(r.Value)
	s.fresh = append(s.fresh, r.Name)
}

// state is what an expression can make of its inputs: nothing while one has
// never come, or is older than maxAge if that is not 0; else their worst
// quality, and the time of the latest of them.
func (s *scope) state(names []string, now time.Time, maxAge time.Duration) (worst gateway.Quality, latest time.Time, complete bool) {
	worst = gateway.Good
	for _, name := range names {
		in := s.inputs[name]
		if in == nil || maxAge > 0 && now.Sub(in.at) > maxAge {
			return worst, latest, false
		}
		worst = worse(worst, in.Quality)
		if in.Time.After(latest) {
			latest = in.Time
		}
	}
	return worst, latest, true
}

// valueOf makes a value of the result of an expression.
func valueOf(result any) (v gateway.Value, ok bool) {
	switch x := result.(type) {
	case float64:
		return gateway.Number(neat(x)), true
	case bool:
		return gateway.Bool(x), true
	case string:
		return gateway.Text(x), true
	default:
		return gateway.Value{}, false
	}
}
