package command

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// courtesy is how much longer than its deadline a driver may take to say that
// it is over, before it counts as stuck.
const courtesy = 250 * time.Millisecond

// call is one execution. Drivers wait on hardware that knows no context, so
// the call has a goroutine of its own, which may be left behind.
type call struct {
	began time.Time
	// done is closed when the driver has come back; the rest is valid then.
	done   chan struct{}
	values map[string]any
	err    error
	// over is why its context had ended by then; nil if it had not.
	over error
}

// enter calls into a driver, and end when it has come back; a panic there becomes
// an error.
func enter(ctx context.Context, log *slog.Logger, a gateway.Actuator, cmd gateway.Command, end func()) *call {
	c := &call{began: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer end()
		defer func() {
			if p := recover(); p != nil {
				log.Error("driver panicked", "device", cmd.Device, "action", cmd.Action, "panic", p, "stack", string(debug.Stack()))
				c.values, c.err = nil, fmt.Errorf("driver panicked: %v; please report this", p)
			}
		}()
		c.values, c.err = a.Do(ctx, cmd)
		c.over = context.Cause(ctx)
	}()
	return c
}

func (c *call) returned() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// await waits for the driver until d has passed or ctx ends, and calls beat
// now and then. It reports whether the driver came back.
func (c *call) await(ctx context.Context, d time.Duration, beat func()) bool {
	for end := time.Now().Add(d); ctx.Err() == nil; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		timer := time.NewTimer(min(left, beatEvery))
		select {
		case <-c.done:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		beat()
		if c.returned() {
			return true
		}
	}
	return c.returned()
}
