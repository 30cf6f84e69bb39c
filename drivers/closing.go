package drivers

import (
	"context"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// closeTime is how long a stop waits for an attempt, and for a device to close.
const closeTime = 3 * time.Second

// Close takes the safe state and closes the device, also while a call is under
// way, which has had its time. Its error names what has not come back.
func (k *Keeper) Close() error {
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return nil
	}
	k.ended = true
	a := k.attempt
	k.mu.Unlock()
	k.end()
	if a != nil && !within(closeTime, func() { <-a.done }) {
		return fmt.Errorf("opening it has not come back and is left behind: %w", gateway.ErrTimeout)
	}
	k.mu.Lock()
	device, phase := k.device, k.phase
	k.mu.Unlock()
	if phase == open && device.Safer != nil {
		within(safeTime+2*courtesy, func() { _ = k.safe(context.Background(), device) }) // Safety is told
	}
	if phase == closed || device.Close == nil {
		return nil
	}
	result := make(chan error, 1)
	if !within(closeTime, func() { result <- k.guard(device.Close) }) {
		return fmt.Errorf("closing it has not come back and is left behind: %w", gateway.ErrTimeout)
	}
	if err := <-result; err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// within reports whether f has come back in time.
func within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
