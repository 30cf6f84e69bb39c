package drivertest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func testActuator(t *testing.T, a gateway.Actuator) {
	actions := a.Actions()
	if len(actions) == 0 {
		t.Fatal("it declares no action")
	}
	if !reflect.DeepEqual(actions, a.Actions()) {
		t.Error("Actions changes from one call to the next")
	}
	seen := make(map[string]bool)
	for _, action := range actions {
		if seen[action.Name] {
			t.Errorf("action %s is declared twice", action.Name)
		}
		seen[action.Name] = true
		checkAction(t, action)
		testDo(t, a, action)
	}
	within(t, "Do of an unknown action", func() {
		_, err := a.Do(t.Context(), gateway.Command{ID: "unknown", Action: "no-such-action"})
		wantRefused(t, "an unknown action", err)
	})
}

// wantRefused: nothing has moved, and trying again will not help.
func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, gateway.ErrDenied) && !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("%s: %v, want gateway.ErrDenied or ErrInvalid", what, err)
	}
}

func testDo(t *testing.T, a gateway.Actuator, action gateway.Action) {
	cmd := command(action)
	if err := action.Check(cmd.Args); err != nil {
		t.Errorf("the least arguments do not pass its own declaration: %v", err)
		return
	}
	within(t, "Do "+action.Name, func() {
		values, err := a.Do(t.Context(), cmd)
		if err != nil {
			t.Errorf("%s: %v", action.Name, err)
		}
		for name, v := range values {
			switch v.(type) {
			case bool, float64, string:
			default:
				t.Errorf("%s reports %s as %T, want bool, float64 or string", action.Name, name, v)
			}
		}
	})
	within(t, "Do "+action.Name+" with a context that is over", func() {
		if _, err := a.Do(ended(t), cmd); err == nil {
			t.Errorf("%s is done although its time was over", action.Name)
		}
	})
	for _, arg := range action.Args {
		if !arg.Required {
			continue
		}
		within(t, "Do "+action.Name+" without arguments", func() {
			_, err := a.Do(t.Context(), gateway.Command{ID: "bare", Action: action.Name})
			wantRefused(t, action.Name+" without "+arg.Name, err)
		})
	}
}

// command asks for an action with the least of each argument.
func command(action gateway.Action) gateway.Command {
	args := make(map[string]any)
	for _, arg := range action.Args {
		switch {
		case arg.Type == gateway.ArgBool:
			args[arg.Name] = false
		case arg.Type == gateway.ArgText && len(arg.OneOf) > 0:
			args[arg.Name] = arg.OneOf[0]
		case arg.Type == gateway.ArgText:
			args[arg.Name] = ""
		case arg.Min != nil:
			args[arg.Name] = *arg.Min
		default:
			args[arg.Name] = 0.0
		}
	}
	return gateway.Command{ID: "drivertest", Action: action.Name, Args: args, Origin: gateway.OriginLocal}
}

func checkAction(t *testing.T, action gateway.Action) {
	t.Helper()
	if !actionShape.MatchString(action.Name) || action.Help == "" {
		t.Errorf("action %q with help %q: want a name of small letters and a help", action.Name, action.Help)
	}
	if action.Timeout < 0 {
		t.Errorf("%s: timeout %v", action.Name, action.Timeout)
	}
	for _, arg := range action.Args {
		checkArg(t, action.Name, arg)
	}
}

func checkArg(t *testing.T, action string, arg gateway.Arg) {
	t.Helper()
	numeric := arg.Type == gateway.ArgNumber || arg.Type == gateway.ArgInteger
	switch {
	case !nameShape.MatchString(arg.Name):
		t.Errorf("%s: argument %q: want small letters, digits and _", action, arg.Name)
	case !numeric && arg.Type != gateway.ArgBool && arg.Type != gateway.ArgText:
		t.Errorf("%s: %s has the type %q", action, arg.Name, arg.Type)
	case !numeric && (arg.Min != nil || arg.Max != nil), arg.Type != gateway.ArgText && arg.OneOf != nil:
		t.Errorf("%s: %s has bounds that do not go with the type %s", action, arg.Name, arg.Type)
	case arg.Min != nil && arg.Max != nil && *arg.Min > *arg.Max:
		t.Errorf("%s: %s: min %v is above max %v", action, arg.Name, *arg.Min, *arg.Max)
	}
}

// testReadWhileActing is for the race detector: the poller and the worker of
// one device are two goroutines.
func testReadWhileActing(t *testing.T, s gateway.Sensor, a gateway.Actuator) {
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	within(t, "reading while it acts", func() {
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 20 {
				if _, err := s.Read(ctx); err != nil {
					t.Errorf("Read while it acts: %v", err)
				}
			}
		})
		for _, action := range a.Actions() {
			for range 5 {
				if _, err := a.Do(ctx, command(action)); err != nil {
					t.Errorf("%s while it is read: %v", action.Name, err)
				}
			}
		}
		if safer, ok := a.(gateway.Safer); ok {
			if err := safer.Safe(ctx); err != nil {
				t.Errorf("Safe while it is read: %v", err)
			}
		}
		wg.Wait()
	})
}

func testSafe(t *testing.T, s gateway.Safer) {
	for range 2 {
		within(t, "Safe", func() {
			if err := s.Safe(t.Context()); err != nil {
				t.Errorf("Safe: %v", err)
			}
		})
	}
	within(t, "Safe with a context that is over", func() { _ = s.Safe(ended(t)) })
}
