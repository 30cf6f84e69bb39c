package drivertest

import (
	"maps"
	"slices"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// testState: what a device says that its outputs are, and will be, is what comes
// true; and a moment is one of a length that is known.
func testState(t *testing.T, s gateway.Stateful, a gateway.Actuator) {
	for _, action := range a.Actions() {
		if action.Momentary && !slices.ContainsFunc(action.Args, func(arg gateway.Arg) bool { return arg.Name == "ms" && arg.Required }) {
			t.Errorf("%s is momentary and has no argument ms", action.Name)
		}
		cmd := command(action)
		after := s.After(cmd)
		if len(after) == 0 {
			t.Errorf("%s: After is empty; want what the outputs will be", action.Name)
		}
		within(t, "Do "+action.Name, func() {
			if _, err := a.Do(t.Context(), cmd); err != nil {
				t.Errorf("%s: %v", action.Name, err)
			}
		})
		if now := s.State(); !maps.Equal(now, after) {
			t.Errorf("%s: the state is %v, After said %v", action.Name, now, after)
		}
	}
	rest := s.AtRest()
	if safer, ok := a.(gateway.Safer); ok {
		within(t, "Safe", func() {
			if err := safer.Safe(t.Context()); err != nil {
				t.Errorf("Safe: %v", err)
			}
		})
	}
	now := s.State()
	for output, want := range rest {
		if got, known := now[output]; !known || got != want {
			t.Errorf("in the safe state %s is %v (known: %t), AtRest says %v", output, got, known, want)
		}
	}
}
