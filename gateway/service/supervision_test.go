package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// socket is what a device is plugged into: the test pulls it out.
type socket struct {
	mu    sync.Mutex
	empty bool
	hang  chan struct{} // Open comes back when it is closed
	jam   error         // why the safe state cannot be taken
	safe  int
}

func (s *socket) pull(out bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty = out
}

func (s *socket) there() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty {
		return fmt.Errorf("no answer: %w", gateway.ErrUnavailable)
	}
	return nil
}

func (s *socket) Open(context.Context) error {
	if s.hang != nil {
		<-s.hang
	}
	return s.there()
}

func (s *socket) Read(context.Context) ([]gateway.Reading, error) {
	if err := s.there(); err != nil {
		return nil, err
	}
	return []gateway.Reading{{Name: "level", Value: gateway.Number(1)}}, nil
}

func (s *socket) Actions() []gateway.Action { return []gateway.Action{{Name: "blink"}} }

func (s *socket) Do(context.Context, gateway.Command) (map[string]any, error) { return nil, s.there() }

func (s *socket) Safe(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.safe++
	return s.jam
}

// into puts a device into the place of one of the config.
func (s *socket) into(id string) func(*Loaded) {
	return func(l *Loaded) {
		for i := range l.devices {
			if l.devices[i].ID == id {
				l.devices[i].driver.Make = func(any, *bus.Set) (drivers.Device, error) {
					return drivers.Device{Opener: s, Sensor: s, Actuator: s, Safer: s}, nil
				}
			}
		}
	}
}

// awaitState waits until status, devices and conditions agree on the state.
func (r *running) awaitState(t *testing.T, id, state string) DeviceStatus {
	t.Helper()
	var found DeviceStatus
	eventually(t, func() error {
		var s Status
		code, body := r.call(t, http.MethodGet, "/v1/status", "")
		if code != http.StatusOK || json.Unmarshal([]byte(body), &s) != nil {
			return fmt.Errorf("%d %s", code, body)
		}
		for _, d := range s.Devices {
			if string(d.ID) == id {
				found = d
			}
		}
		condition := ""
		for _, c := range s.Conditions {
			if c.Code == "device:"+id {
				condition = c.Summary
			}
		}
		if found.State != state || (condition != "") != (state != "good") || !strings.HasSuffix(condition, found.Reason) {
			return fmt.Errorf("%+v, condition %q; want it %s", found, condition, state)
		}
		return nil
	})
	return found
}

// TestDeviceComesAndGoes: nobody has to restart the gateway, and each change is
// one line in the log.
func TestDeviceComesAndGoes(t *testing.T) {
	b := startBroker(t)
	s := &socket{empty: true}
	r := startServiceWith(t, t.TempDir(), strings.Replace(configText, "BROKER", b.url, 1), s.into("bench"))
	r.awaitConnected(t)
	d := r.awaitState(t, "bench", "absent")
	if d.Reason != "no answer" || d.Since.IsZero() || len(d.Actions) != 1 {
		t.Errorf("%+v", d)
	}
	code, body := r.call(t, http.MethodPost, "/v1/do", `{"device":"bench","action":"blink"}`)
	if !strings.Contains(body, `"status":"failed"`) || !strings.Contains(body, "nothing was done: no answer") {
		t.Errorf("a command for an absent device: %d %s", code, body)
	}
	s.pull(false)
	r.awaitState(t, "bench", "good")
	if code, body := r.call(t, http.MethodPost, "/v1/do", `{"device":"bench","action":"blink"}`); !strings.Contains(body, `"status":"done"`) {
		t.Errorf("a command: %d %s", code, body)
	}
	s.pull(true)
	r.awaitState(t, "bench", "absent")
	s.pull(false)
	r.awaitState(t, "bench", "good")
	if s.safe != 2 {
		t.Errorf("the safe state was taken %d times, want once for each time that it was opened", s.safe)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	logs := r.logs.String()
	if n := strings.Count(logs, `summary="bench (sim): no answer`); n != 2 {
		t.Errorf("%d lines of absence, want 2", n)
	}
	if n := strings.Count(logs, `msg="health condition over" code=device:bench`); n != 2 {
		t.Errorf("%d lines of return, want 2", n)
	}
}

// TestStuckDeviceHoldsNobodyUp, neither at the start nor at the stop, and it is
// named.
func TestStuckDeviceHoldsNobodyUp(t *testing.T) {
	b := startBroker(t)
	s := &socket{hang: make(chan struct{})}
	defer close(s.hang)
	r := startServiceWith(t, t.TempDir(), strings.Replace(configText, "BROKER", b.url, 1), s.into("bench"))
	r.awaitState(t, "board", "good")
	eventually(t, func() error {
		if d := r.awaitState(t, "bench", "absent"); !strings.Contains(d.Reason, "opening it has not come back yet") {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
	if err := r.stop(t); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "bench (sim): opening it has not come back and is left behind") {
		t.Errorf("Run returned %v", err)
	}
}

// TestOutputThatIsNotSafe is a condition of its own, and takes no command.
func TestOutputThatIsNotSafe(t *testing.T) {
	b := startBroker(t)
	s := &socket{jam: errors.New("the contact is welded")}
	r := startServiceWith(t, t.TempDir(), strings.Replace(configText, "BROKER", b.url, 1), s.into("bench"))
	r.awaitState(t, "bench", "absent")
	unsafe := func() (summary string) {
		var st Status
		_, body := r.call(t, http.MethodGet, "/v1/status", "")
		if err := json.Unmarshal([]byte(body), &st); err != nil {
			t.Fatal(err)
		}
		for _, c := range st.Conditions {
			if c.Code == "unsafe:bench" {
				summary = c.Summary
			}
		}
		return summary
	}
	if got := unsafe(); got != "bench (sim) did not take its safe state: the contact is welded" {
		t.Errorf("condition %q", got)
	}
	if code, body := r.call(t, http.MethodPost, "/v1/do", `{"device":"bench","action":"blink"}`); !strings.Contains(body, `"status":"failed"`) {
		t.Errorf("a command: %d %s", code, body)
	}
	s.mu.Lock()
	s.jam = nil
	s.mu.Unlock()
	r.awaitState(t, "bench", "good")
	if got := unsafe(); got != "" {
		t.Errorf("condition %q", got)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// deaf is a device whose reads do not come back.
type deaf struct {
	asked sync.Once
	reads chan struct{} // closed when the first has begun
	back  chan struct{}
}

func (d *deaf) Read(context.Context) ([]gateway.Reading, error) {
	d.asked.Do(func() { close(d.reads) })
	<-d.back
	return nil, gateway.ErrTimeout
}

// TestWhatAStopLeavesBehindIsTold: it must not vanish because it is the first
// thing that goes wrong.
func TestWhatAStopLeavesBehindIsTold(t *testing.T) {
	t.Parallel()
	d := &deaf{reads: make(chan struct{}), back: make(chan struct{})}
	defer close(d.back)
	r := startServiceWith(t, t.TempDir(), strings.Replace(configText, "BROKER", "mqtt://127.0.0.1:1", 1), func(l *Loaded) {
		l.devices[0].driver.Make = func(any, *bus.Set) (drivers.Device, error) { return drivers.Device{Sensor: d}, nil }
	})
	<-d.reads
	if err := r.stop(t); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "has not come back and is left behind") {
		t.Errorf("stop: %v", err)
	}
}
