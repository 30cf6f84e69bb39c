package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// sender carries out what is wanted.
type sender struct {
	t     *testing.T
	file  string
	stuck gateway.DeviceID
	fail  error
	mu    sync.Mutex
	done  map[string]gateway.Result // by id, as a journal has them
	did   []string
	told  int

	*wanted
	stop context.CancelFunc
	over chan error
}

func (s *sender) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.over = stop, make(chan error, 1)
	s.wanted = newWanted(wantedOptions{
		File: s.file, Twin: func() bool { return true }, Do: s.do, Log: slog.New(slog.DiscardHandler), News: func() { s.told++ },
		Judge: func(cmd gateway.Command) error {
			if cmd.Action == "pulse" {
				return errors.New("no state")
			}
			return nil
		},
	})
	go func() { s.over <- s.Run(ctx) }()
	synctest.Wait()
}

func (s *sender) halt() {
	s.stop()
	if err := <-s.over; err != nil {
		s.t.Error(err)
	}
}

func (s *sender) do(ctx context.Context, cmd gateway.Command) (gateway.Result, error) {
	if cmd.Device == s.stuck {
		<-ctx.Done()
		return gateway.Result{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, repeat := s.done[cmd.ID]; repeat {
		return r, nil
	}
	if s.fail != nil {
		return gateway.Result{}, s.fail
	}
	if cmd.Origin != gateway.OriginDesired {
		s.t.Errorf("origin %s", cmd.Origin)
	}
	s.did = append(s.did, fmt.Sprintf("%s %s %v", cmd.Device, cmd.Action, cmd.Args["on"]))
	s.done[cmd.ID] = gateway.Result{Status: gateway.StatusDone}
	return s.done[cmd.ID], nil
}

func (s *sender) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// want is a desired property outputs.
func want(device, action string, on any) map[string]any {
	return map[string]any{device: map[string]any{action: map[string]any{"on": on}}}
}

func wantedBubble(t *testing.T, body func(t *testing.T, s *sender)) {
	file := filepath.Join(t.TempDir(), "outputs.json")
	synctest.Test(t, func(t *testing.T) {
		s := &sender{t: t, file: file, done: make(map[string]gateway.Result)}
		s.start()
		body(t, s)
		s.halt()
	})
}

func TestWantedIsDoneOnce(t *testing.T) {
	wantedBubble(t, func(t *testing.T, s *sender) {
		desire := func(version int64, desired any, did int) {
			t.Helper()
			s.Desire(version, desired)
			synctest.Wait()
			if len(s.did) != did {
				t.Errorf("version %d: did %v", version, s.did)
			}
		}
		desire(1, want("pump%2E1", "set", true), 1)
		desire(1, want("pump%2E1", "set", true), 1) // another connection
		desire(2, want("pump%2E1", "set", true), 1) // something else has changed
		s.halt()
		s.start()
		desire(2, want("pump%2E1", "set", true), 1)
		desire(3, want("pump%2E1", "set", false), 2)
		desire(4, want("pump%2E1", "set", true), 3)
		outputs, faults := s.Reported()
		if got := outputs["pump%2E1"]["set"]; got != (reportedOutput{4, "done", ""}) || len(faults) > 0 || s.told != 3 {
			t.Errorf("reported %+v, %v, told %d times", outputs, faults, s.told)
		}
		desire(5, nil, 3) // what is not wanted any more moves nothing
		desire(6, want("pump%2E1", "set", true), 4)
		if want := []string{"pump.1 set true", "pump.1 set false", "pump.1 set true", "pump.1 set true"}; !slices.Equal(s.did, want) {
			t.Errorf("did %v", s.did)
		}
	})
}

func TestWantedThatCannotBe(t *testing.T) {
	wantedBubble(t, func(t *testing.T, s *sender) {
		s.Desire(7, map[string]any{
			"a": map[string]any{"pulse": map[string]any{}, "set": map[string]any{"on": true}, "odd": 5.0}, "b": "on",
		})
		synctest.Wait()
		outputs, faults := s.Reported()
		if got := outputs["a"]["pulse"]; got != (reportedOutput{7, "rejected", "no state"}) || outputs["a"]["set"].Status != "done" || len(s.did) != 1 {
			t.Errorf("reported %+v, did %v", outputs, s.did)
		}
		if len(faults) != 2 || !strings.HasPrefix(faults[0], "outputs.a.odd: want an object of arguments") || !strings.HasPrefix(faults[1], "outputs.b: want an object of actions") {
			t.Errorf("faults %v", faults)
		}
		for _, desired := range []any{"on", []any{}, 5.0} {
			s.Desire(8, desired)
			if _, faults := s.Reported(); len(faults) != 1 {
				t.Errorf("%v: faults %v", desired, faults)
			}
		}
		s.failWith(fmt.Errorf("full: %w", gateway.ErrFull))
		s.Desire(8, want("a", "set", "y"))
		synctest.Wait()
		if outputs, _ := s.Reported(); outputs["a"]["set"].Status != "pending" {
			t.Errorf("reported %+v", outputs)
		}
		s.failWith(nil)
		time.Sleep(wantedRetry)
		synctest.Wait()
		if outputs, _ := s.Reported(); outputs["a"]["set"].Status != "done" {
			t.Errorf("reported %+v", outputs)
		}
		s.failWith(fmt.Errorf("args of 70000 bytes: %w", gateway.ErrInvalid))
		s.Desire(9, want("a", "set", "x"))
		synctest.Wait()
		if outputs, _ := s.Reported(); outputs["a"]["set"].Status != "rejected" || outputs["a"]["set"].Detail == "" {
			t.Errorf("reported %+v", outputs)
		}
	})
}

// TestWantedOfAStuckDevice holds up none of the others, and goes on after a start
// under the same id.
func TestWantedOfAStuckDevice(t *testing.T) {
	wantedBubble(t, func(t *testing.T, s *sender) {
		s.stuck = "a"
		s.Desire(1, map[string]any{"a": want("a", "set", true)["a"], "b": want("b", "set", true)["b"]})
		time.Sleep(time.Second)
		if outputs, _ := s.Reported(); outputs["a"]["set"].Status != "pending" || outputs["b"]["set"].Status != "done" {
			t.Errorf("reported %+v", outputs)
		}
		id := s.record["a"]["set"].Command
		s.halt()
		s.stuck = ""
		s.start()
		if outputs, _ := s.Reported(); outputs["a"]["set"].Status != "done" || s.done[id].Status != "done" {
			t.Errorf("reported %+v, done %v", outputs, s.done)
		}
	})
}

func TestWantedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "outputs.json")
	for _, text := range []string{"", "{", "[]", `{"v":2,"outputs":{}}`, `{"v":1}`, `{"v":1,"outputs":{},"x":1}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := readWanted(file); !errors.Is(err, gateway.ErrInvalid) || r == nil {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
	wantedBubble(t, func(t *testing.T, s *sender) { // what is not on record is not done
		s.opts.File = filepath.Join(s.file, "no", "folder")
		s.Desire(1, want("a", "set", true))
		synctest.Wait()
		if _, faults := s.Reported(); len(faults) != 1 || len(s.did) > 0 {
			t.Errorf("faults %v, did %v", faults, s.did)
		}
	})
}
