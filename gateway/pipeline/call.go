package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// call is one call into a driver. Drivers wait on hardware that knows no
// context, so the call has a goroutine of its own, which may be left behind.
type call struct {
	began time.Time
	// late is set by the owner when it has given the call up.
	late bool
	// done is closed when the driver has come back; the rest is valid then.
	done     chan struct{}
	readings []gateway.Reading
	err      error
}

// enter calls into a driver; a panic there becomes an error.
func enter(log *slog.Logger, d *device, f func() ([]gateway.Reading, error)) *call {
	c := &call{began: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer func() {
			if p := recover(); p != nil {
				if d.panicked() {
					log.Error("driver panicked", "panic", p, "stack", string(debug.Stack()))
				}
				c.readings, c.err = nil, fmt.Errorf("driver panicked: %v; please report this", p)
			}
		}()
		c.readings, c.err = f()
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
