package drivertest

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// lamp is a device that does everything right; each fault makes it do one
// thing wrong.
type lamp struct {
	fault string

	mu    sync.Mutex
	open  bool
	opens int
	on    bool
	calls int
}

func (l *lamp) Open(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opens++
	if l.fault == "opens once" && l.opens > 1 {
		return gateway.ErrUnavailable
	}
	l.open = true
	return ctx.Err()
}

// closed is the answer of a lamp that is not open.
func (l *lamp) closed(fault string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open || l.fault == fault {
		return nil
	}
	return gateway.ErrUnavailable
}

func (l *lamp) Read(ctx context.Context) ([]gateway.Reading, error) {
	if err := l.closed("reads closed"); err != nil {
		return nil, err
	}
	if l.fault == "deaf read" {
		<-make(chan struct{})
	}
	if l.fault != "race" {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	readings := []gateway.Reading{
		{Name: "on", Value: gateway.Bool(l.on)},
		{Name: "power", Value: gateway.Number(3.5), Unit: "W"},
	}
	switch l.fault {
	case "name":
		readings[0].Name = "Lamp On"
	case "unit":
		readings[1].Unit = "watts"
	case "unit of a state":
		readings[0].Unit = "W"
	case "twice":
		readings = append(readings, readings[0])
	case "NaN":
		readings[1].Value = gateway.Number(math.NaN())
	case "nothing":
		return nil, nil
	}
	return readings, ctx.Err()
}

func (l *lamp) Actions() []gateway.Action {
	l.calls++
	help := "Switches the lamp."
	switch {
	case l.fault == "changing actions" && l.calls%2 == 0:
		help = "Something else."
	case l.fault == "no help":
		help = ""
	}
	low, high := 0.0, 100.0
	if l.fault == "bounds" {
		high = -1
	}
	return []gateway.Action{{Name: "set", Help: help, Idempotent: true, Momentary: l.fault == "endless moment", Args: []gateway.Arg{
		{Name: "on", Type: gateway.ArgBool, Required: true},
		{Name: "level", Type: gateway.ArgNumber, Unit: "%", Min: &low, Max: &high},
	}}}
}

func (l *lamp) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	if err := l.closed("does closed"); err != nil {
		return nil, err
	}
	on, ok := cmd.Args["on"].(bool)
	switch {
	case cmd.Action != "set" && l.fault != "does anything":
		return nil, gateway.ErrDenied
	case !ok && l.fault != "takes no argument" && l.fault != "does anything":
		return nil, gateway.ErrInvalid
	case ctx.Err() != nil && l.fault != "late":
		return nil, ctx.Err()
	case l.fault == "broken":
		return nil, gateway.ErrUnavailable
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = on
	if l.fault == "values" {
		return map[string]any{"on": 1}, nil
	}
	return map[string]any{"on": on}, nil
}

func (l *lamp) Safe(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == "safe once" && !l.on {
		l.on = true
		return nil
	}
	if l.fault == "safe once" {
		return errors.New("it is safe already")
	}
	l.on = false
	return nil
}

func (l *lamp) State() map[string]gateway.Value {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]gateway.Value{"on": gateway.Bool(l.on)}
}

func (l *lamp) After(cmd gateway.Command) map[string]gateway.Value {
	on, _ := cmd.Args["on"].(bool)
	if l.fault == "nothing after" {
		return nil
	}
	return map[string]gateway.Value{"on": gateway.Bool(on != (l.fault == "another after"))}
}

func (l *lamp) AtRest() map[string]gateway.Value {
	return map[string]gateway.Value{"on": gateway.Bool(l.fault == "another rest")}
}

func (l *lamp) Run(ctx context.Context, sink gateway.Sink) error {
	if err := l.closed("runs closed"); err != nil {
		return err
	}
	if l.fault == "stream ends badly" {
		return gateway.ErrUnavailable
	}
	name := "touched"
	if l.fault == "stream name" {
		name = "Touched!"
	}
	if err := sink.Emit(ctx, gateway.Reading{Name: name, Value: gateway.Bool(true)}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (l *lamp) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == "close once" && !l.open {
		return errors.New("it is closed already")
	}
	l.open = false
	return nil
}

func TestGoodDevice(t *testing.T) {
	Run(t, func(*testing.T) any { return &lamp{} })
}

// TestFaultsAreFound runs the suite on devices with one fault each, in a
// process of its own, since it fails there.
func TestFaultsAreFound(t *testing.T) {
	const variable = "DRIVERTEST_FAULT"
	if fault := os.Getenv(variable); fault != "" {
		if fault == "no contract" {
			Run(t, func(*testing.T) any { return &struct{}{} })
		}
		Run(t, func(*testing.T) any { return &lamp{fault: fault} })
		return
	}
	for fault, want := range map[string]string{
		"no contract":       "no gateway.Sensor, Stream or Actuator",
		"name":              "Lamp On",
		"unit":              "watts",
		"unit of a state":   "has the unit W",
		"twice":             "twice in one Read",
		"NaN":               "no number is an error",
		"nothing":           "gives no reading",
		"deaf read":         "must not outlive its context",
		"changing actions":  "changes from one call",
		"no help":           "a help",
		"bounds":            "min 0 is above max -1",
		"does anything":     "an unknown action",
		"takes no argument": "set without on",
		"late":              "its time was over",
		"broken":            "unavailable",
		"values":            "want bool, float64 or string",
		"safe once":         "it is safe already",
		"nothing after":     "After is empty",
		"another after":     "After said",
		"another rest":      "AtRest says",
		"endless moment":    "set is momentary",
		"stream ends badly": "unavailable",
		"stream name":       "Touched!",
		"close once":        "it is closed already",
		"opens once":        "Open: unavailable",
		"reads closed":      "Read before Open gives",
		"does closed":       "set is done before Open",
		"runs closed":       "Run before Open",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFaultsAreFound$", "-test.failfast")
			cmd.Env = append(os.Environ(), variable+"="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("want it to fail with %q (%v):\n%s", want, err, out)
			}
		})
	}
}

func TestSinkCounts(t *testing.T) {
	s := &Sink{}
	one := []gateway.Reading{{Name: "a"}}
	if _, err := s.Commit(t.Context(), one, nil); !errors.Is(err, gateway.ErrInvalid) || len(s.Batches()) != 0 {
		t.Errorf("an empty batch: %v, %d batches in", err, len(s.Batches()))
	}
	ids, err := s.Commit(t.Context(), one, one)
	if err != nil || len(ids) != 2 || ids[1].String() != "test-telemetry-2" || len(s.Batches()) != 2 {
		t.Errorf("%v %v", ids, err)
	}
	s.Before = func(context.Context, [][]gateway.Reading) error { return gateway.ErrFull }
	if _, err := s.Commit(t.Context(), one); !errors.Is(err, gateway.ErrFull) || len(s.Batches()) != 2 {
		t.Errorf("refused: %v", err)
	}
}
