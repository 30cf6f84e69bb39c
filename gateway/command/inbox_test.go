package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
)

func TestRepeatIsAnsweredNotExecuted(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(time.Second)
			return map[string]any{"n": 1.0}, nil
		}
		r.accept(pulse("c1"), pulse("c1")) // the second while the first is under way
		first := r.result("c1")
		r.accept(pulse("c1"))
		got := r.disk.results()
		if len(got) != 2 || got[0].Repeated || !got[1].Repeated {
			t.Fatalf("results %+v", got)
		}
		if got[1].Status != first.Status || got[1].Values["n"] != 1.0 || !got[1].Finished.Equal(first.Finished) {
			t.Errorf("the repeated answer differs: %+v", got[1])
		}
		if did := r.pump.done(); len(did) != 1 {
			t.Errorf("executed %v", did)
		}
		r.disk.setFault(func(string) error { return gateway.ErrFull })
		if err := r.inbox.Accept(t.Context(), pulse("c1")); !errors.Is(err, gateway.ErrFull) {
			t.Errorf("an answer that is not durable: %v", err)
		}
		r.disk.setFault(nil)
	})
}

func TestAcceptWaitsForRoomBeforeItJournals(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		free := make(chan struct{})
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			<-free
			return nil, nil
		}
		slow := func(i int) gateway.Command {
			return gateway.Command{ID: fmt.Sprint("c", i), Device: "pump", Action: "slow"}
		}
		for i := range 51 { // one runs
			r.accept(slow(i))
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.inbox.Accept(ctx, slow(51)); !errors.Is(err, gateway.ErrFull) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beyond the room: %v", err)
		}
		if r.disk.held("c51") != nil {
			t.Error("journalled without a place")
		}
		if s := r.Stats(); s.Waiting != 50 || s.Devices[1].Waiting != 50 {
			t.Errorf("%+v", s)
		}
		r.accept(gateway.Command{ID: "f1", Device: "fan", Action: "pulse"}) // has room
		close(free)
		r.accept(slow(51))
		r.result("c51")
	})
}

func TestBeginFails(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.disk.setFault(func(op string) error { return fmt.Errorf("%s: %w", op, gateway.ErrFull) })
		if err := r.inbox.Accept(t.Context(), pulse("c1")); !errors.Is(err, gateway.ErrFull) {
			t.Errorf("Accept: %v", err)
		}
		r.disk.setFault(nil)
		r.accept(pulse("c1"))
		r.result("c1")
	})
}

// TestBeginWroteAndFailed: the sender delivers again, and the command must
// not be taken for one that is under way.
func TestBeginWroteAndFailed(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.disk.mu.Lock()
		r.disk.entries = []*gateway.Entry{{Command: pulse("c1")}}
		r.disk.mu.Unlock()
		r.accept(pulse("c1"))
		if got := r.result("c1"); got.Status != gateway.StatusDone {
			t.Errorf("%s", got.Status)
		}
	})
}

func TestMalformedCommandIsRefused(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		cmd := pulse("c\n1")
		cmd.Args = map[string]any{"list": []any{1.0}}
		r.accept(cmd)
		if len(r.disk.entries) != 0 || len(r.disk.messages) != 2 {
			t.Fatalf("journal %d, messages %d", len(r.disk.entries), len(r.disk.messages))
		}
		got := r.disk.results()[0]
		if got.CommandID != "c1" || got.Status != gateway.StatusDenied || !strings.HasPrefix(got.Detail, "malformed: id") || !strings.Contains(got.Detail, "argument list") {
			t.Errorf("%+v", got)
		}
		if r.Stats().Refused != 1 {
			t.Error("not counted")
		}
	})
}

func TestRefuse(t *testing.T) {
	type letter struct {
		Reason, Origin, Text string
		Received             time.Time
		Base64               []byte
		Bytes                int
	}
	long := strings.Repeat("ü", 10_000) // a cut at 16 KiB is between two characters
	for _, tt := range []struct {
		name, raw string
		want      letter
	}{
		{"text", "open the door", letter{Text: "open the door", Bytes: 13}},
		{"binary", "\xff\x00", letter{Base64: []byte{0xff, 0}, Bytes: 2}},
		{"long", "x" + long, letter{Text: ("x" + long)[:16<<10-1], Bytes: 20_001}},
		{"long binary", strings.Repeat("\xff", 20_000), letter{Base64: []byte(strings.Repeat("\xff", 16<<10)), Bytes: 20_000}},
		{"nothing", "", letter{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				if err := r.inbox.Refuse(t.Context(), gateway.Command{ID: "m1", Origin: gateway.OriginMQTT}, []byte(tt.raw), "no JSON"); err != nil {
					t.Fatal(err)
				}
				m := r.disk.messages[0]
				var got letter
				if err := json.Unmarshal(m.Body, &got); err != nil {
					t.Fatal(err)
				}
				if m.Kind != gateway.KindDeadLetter || m.ID.Lane != gateway.LaneDeadLetter || m.CorrelationID != "m1" {
					t.Errorf("message %+v", m)
				}
				if got.Reason != "no JSON" || got.Origin != "mqtt" || got.Received.IsZero() ||
					got.Text != tt.want.Text || string(got.Base64) != string(tt.want.Base64) || got.Bytes != tt.want.Bytes {
					t.Errorf("letter %.200s", m.Body)
				}
				if got := r.disk.results(); len(got) != 1 || got[0].CommandID != "m1" || got[0].Detail != "malformed: no JSON" {
					t.Errorf("results %+v", got)
				}
				r.disk.setFault(func(string) error { return gateway.ErrFull })
				if err := r.inbox.Refuse(t.Context(), gateway.Command{ID: "m2", Origin: gateway.OriginMQTT}, nil, "x"); !errors.Is(err, gateway.ErrFull) {
					t.Errorf("not durable: %v", err)
				}
			})
		})
	}
}

func TestDo(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(time.Second)
			return nil, nil
		}
		cmd := gateway.Command{Device: "pump", Action: "pulse"}
		got, err := r.Do(t.Context(), cmd)
		if err != nil || got.Status != gateway.StatusDone || got.CommandID == "" {
			t.Fatalf("%+v, %v", got, err)
		}
		if e := r.disk.held(got.CommandID); e == nil || e.Command.Origin != gateway.OriginLocal || e.Command.Received.IsZero() {
			t.Errorf("entry %+v", e)
		}
		cmd.ID = got.CommandID
		if again, err := r.Do(t.Context(), cmd); err != nil || !again.Repeated {
			t.Errorf("repeat: %+v, %v", again, err)
		}
		if _, err := r.Do(t.Context(), gateway.Command{Device: "pump"}); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("malformed: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := r.Do(ctx, pulse("c2")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("impatient: %v", err)
		}
		if got := r.result("c2"); got.Status != gateway.StatusDone {
			t.Errorf("the command of an impatient caller: %s", got.Status)
		}
	})
}

func TestDoAtStop(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(2 * time.Second)
			return nil, nil
		}
		errs := make([]chan error, 2)
		for i := range errs {
			errs[i] = make(chan error, 1)
			go func() {
				_, err := r.Do(t.Context(), pulse(fmt.Sprint("c", i)))
				errs[i] <- err
			}()
			synctest.Wait()
		}
		if err := r.halt(); err != nil {
			t.Fatal(err)
		}
		if err := <-errs[0]; err != nil {
			t.Errorf("the running command: %v", err)
		}
		if err := <-errs[1]; !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("the waiting command: %v", err)
		}
	})
}

func TestAcceptBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.inbox.Accept(ctx, pulse("c1")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestDispatcherNeedsItsParts(t *testing.T) {
	if _, err := command.NewDispatcher(command.Options{}); err == nil {
		t.Error("a dispatcher without a journal")
	}
}
