package command_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
)

// gate is a policy under the control of the test.
type gate struct {
	deny error
	// cut, if it is set, ends a command after so long.
	cut        time.Duration
	begun, out atomic.Int32
}

func (g *gate) Begin(ctx context.Context, _ gateway.Command, _ gateway.Action) (context.Context, func(), error) {
	if g.deny != nil {
		return nil, nil, g.deny
	}
	g.begun.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	if g.cut > 0 {
		time.AfterFunc(g.cut, func() { cancel(errors.New("the tank is empty")) })
	}
	return ctx, func() { g.out.Add(1); cancel(nil) }, nil
}

func TestPolicyIsAsked(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.accept(pulse("allowed"))
		if got := r.result("allowed"); got.Status != gateway.StatusDone || r.gate.begun.Load() != 1 || r.gate.out.Load() != 1 {
			t.Errorf("%+v, begun %d, ended %d", got, r.gate.begun.Load(), r.gate.out.Load())
		}
		r.gate.deny = fmt.Errorf("valve is closed: %w", gateway.ErrDenied)
		r.accept(pulse("denied"))
		if got := r.result("denied"); got.Status != gateway.StatusDenied || got.Detail != "valve is closed" {
			t.Errorf("%+v", got)
		}
		if e := r.disk.held("denied"); e.Started || len(r.pump.done()) != 1 {
			t.Errorf("what was denied is on record as begun: %+v, done: %v", e, r.pump.done())
		}
	})
}

func TestPolicyCutsShort(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.gate.cut = 3 * time.Second
		r.pump.act = func(ctx context.Context, _ gateway.Command) (map[string]any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		r.accept(pulse("cut"))
		if got := r.result("cut"); got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "cut short, since the tank is empty") {
			t.Errorf("%+v", got)
		}
	})
}

// TestPolicyHearsOfALateEnd: a command ends for the policy when its driver comes
// back, not when it is given up.
func TestPolicyHearsOfALateEnd(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		back := make(chan struct{})
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			<-back
			return nil, nil
		}
		r.accept(pulse("stuck"))
		if got := r.result("stuck"); got.Status != gateway.StatusFailed || r.gate.out.Load() != 0 {
			t.Errorf("%+v, ended %d", got, r.gate.out.Load())
		}
		close(back)
		synctest.Wait()
		r.accept(gateway.Command{ID: "next", Device: "pump", Action: "set", Origin: gateway.OriginC2D})
		if got := r.result("next"); got.Status != gateway.StatusDone || r.gate.out.Load() != 2 {
			t.Errorf("%+v, ended %d", got, r.gate.out.Load())
		}
	})
}

var _ command.Policy = (*gate)(nil)
