package drivertest

import (
	"context"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// testLife takes a device through what the supervisor does with one that comes
// and goes.
func testLife(t *testing.T, open func(t *testing.T) any) {
	dev := made(t, open)
	wantUnusable(t, "before Open", dev)
	within(t, "Open with a context that is over", func() { _ = dev.(gateway.Opener).Open(ended(t)) })
	closeDevice(t, dev)
	wantUnusable(t, "after an Open that had no time, and Close", dev)
	for range 2 {
		openDevice(t, dev)
		wantUsable(t, dev)
		closeDevice(t, dev)
		wantUnusable(t, "after Close", dev)
	}
}

// wantUnusable: nothing can be asked of a device that is not open.
func wantUnusable(t *testing.T, when string, dev any) {
	t.Helper()
	if s, ok := dev.(gateway.Sensor); ok {
		within(t, "Read "+when, func() {
			if readings, err := s.Read(t.Context()); err == nil {
				t.Errorf("Read %s gives %v and no error", when, readings)
			}
		})
	}
	if s, ok := dev.(gateway.Stream); ok {
		ctx, cancel := context.WithTimeout(t.Context(), patient/2)
		defer cancel()
		within(t, "Run "+when, func() {
			if err := s.Run(ctx, &Sink{}); err == nil || ctx.Err() != nil {
				t.Errorf("Run %s: %v; want an error at once", when, err)
			}
		})
	}
	a, ok := dev.(gateway.Actuator)
	if !ok {
		return
	}
	for _, action := range a.Actions() {
		within(t, "Do "+action.Name+" "+when, func() {
			if _, err := a.Do(t.Context(), command(action)); err == nil {
				t.Errorf("%s is done %s", action.Name, when)
			}
		})
	}
}

// wantUsable: it works as it did the first time.
func wantUsable(t *testing.T, dev any) {
	t.Helper()
	if s, ok := dev.(gateway.Sensor); ok {
		within(t, "Read", func() {
			if readings, err := s.Read(t.Context()); err != nil || len(readings) == 0 {
				t.Errorf("Read after Open: %v, %v", readings, err)
			}
		})
	}
	if a, ok := dev.(gateway.Actuator); ok && len(a.Actions()) > 0 {
		within(t, "Do", func() {
			if _, err := a.Do(t.Context(), command(a.Actions()[0])); err != nil {
				t.Errorf("Do after Open: %v", err)
			}
		})
	}
}
