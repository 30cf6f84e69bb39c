package command_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestCallGivesTheFinalState(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			return map[string]any{"flow": 1.5}, nil
		}
		wait, err := r.inbox.Call(t.Context(), pulse("c1"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := wait(t.Context())
		if err != nil || got.Status != gateway.StatusDone || got.Values["flow"] != 1.5 || got.Repeated {
			t.Errorf("got %+v, %v", got, err)
		}
		if n := len(r.disk.messages); n != 1 {
			t.Errorf("%d messages report it, want 1", n)
		}
		wait, err = r.inbox.Call(t.Context(), pulse("c1"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wait(t.Context()); err != nil || !got.Repeated || len(r.pump.done()) != 1 {
			t.Errorf("again: %+v, %v; done %v", got, err, r.pump.done())
		}
	})
}

// A command that its sender does not wait for any longer goes on.
func TestCallOutlivesItsSender(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(time.Minute)
			return nil, nil
		}
		cmd := pulse("c1")
		cmd.Action = "slow"
		wait, err := r.inbox.Call(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
		if got := r.result("c1"); got.Status != gateway.StatusDone {
			t.Errorf("got %+v", got)
		}
	})
}

// What is refused at once leaves nothing on record.
func TestCallRefuses(t *testing.T) {
	tests := []struct {
		name string
		cmd  gateway.Command
		want error
	}{
		{"shape", gateway.Command{ID: "c1", Device: "pump", Action: "a b"}, gateway.ErrInvalid},
		{"device", gateway.Command{ID: "c1", Device: "door", Action: "open"}, gateway.ErrUnknown},
		{"sensor", gateway.Command{ID: "c1", Device: "air", Action: "open"}, gateway.ErrUnknown},
		{"action", gateway.Command{ID: "c1", Device: "pump", Action: "jump"}, gateway.ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				if _, err := r.inbox.Call(t.Context(), tt.cmd); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if r.disk.held("c1") != nil || len(r.disk.messages) > 0 {
					t.Error("something is on record")
				}
			})
		})
	}
}

// Who waits for an answer is told at once that there is no room.
func TestCallDoesNotWaitForRoom(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			<-release
			return nil, nil
		}
		defer close(release)
		start := time.Now()
		for i := range 100 {
			cmd := pulse(fmt.Sprint("c", i))
			cmd.Action = "slow"
			synctest.Wait() // so that the first one runs
			if _, err := r.inbox.Call(t.Context(), cmd); err != nil {
				if !errors.Is(err, gateway.ErrFull) || i != 51 || time.Since(start) > 0 {
					t.Errorf("call %d after %v: %v", i, time.Since(start), err)
				}
				return
			}
		}
		t.Error("100 calls were taken")
	})
}

func TestCallEndsWithTheStop(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(ctx context.Context, _ gateway.Command) (map[string]any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		cmd := pulse("c1")
		cmd.Action = "slow"
		wait, err := r.inbox.Call(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.halt(); err != nil {
			t.Fatal(err)
		}
		if _, err := wait(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("wait: %v", err)
		}
		if _, err := r.inbox.Call(t.Context(), pulse("c2")); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("Call: %v", err)
		}
	})
}

// TestOwnExpiryNeedsNoTrustedClock: what this board has set itself it can judge,
// whatever its clock does, until it is stopped.
func TestOwnExpiryNeedsNoTrustedClock(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.clock.untrusted = true
		own := pulse("own")
		own.Expires = time.Now().Add(time.Second)
		if got, err := r.Do(t.Context(), own); err != nil || got.Status != gateway.StatusDone {
			t.Errorf("%+v, %v", got, err)
		}
		called := pulse("called")
		called.Expires = time.Now().Add(time.Second)
		wait, err := r.inbox.Call(t.Context(), called)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wait(t.Context()); err != nil || got.Status != gateway.StatusDone {
			t.Errorf("%+v, %v", got, err)
		}

		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(2 * time.Second)
			return nil, nil
		}
		r.accept(pulse("long"))
		synctest.Wait()
		late := pulse("late")
		late.Expires = time.Now().Add(time.Second)
		if got, err := r.Do(t.Context(), late); err != nil || got.Status != gateway.StatusExpired {
			t.Errorf("%+v, %v", got, err)
		}

		r.accept(pulse("longer"))
		synctest.Wait()
		left := pulse("left")
		left.Expires = time.Now().Add(time.Hour)
		go r.Do(t.Context(), left)
		synctest.Wait()
		if err := r.halt(); err != nil {
			t.Fatal(err)
		}
		r.assemble()
		r.start()
		if got := r.result("left"); got.Status != gateway.StatusDenied {
			t.Errorf("after a restart: %s, %s", got.Status, got.Detail)
		}
	})
}
