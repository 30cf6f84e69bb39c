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
	device, now, used := k.device, k.phase, !k.openedAt.IsZero()
	k.mu.Unlock()
	if used && device.Safer != nil {
		end := make(chan phase, 1)
		switch {
		case within(safeTime+2*courtesy, func() { end <- k.endSafe(device, now) }):
			now = <-end
		case now != open:
			return fmt.Errorf("taking its safe state has not come back and is left behind: %w", gateway.ErrTimeout)
		}
	}
	if now == closed || device.Close == nil {
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

// endSafe takes the safe state for the last time, and returns what the device is
// then. One that could not be reached is tried once more: what it was told last
// holds there still. Safety is told how that went.
func (k *Keeper) endSafe(device Device, was phase) phase {
	ctx, cancel := context.WithTimeout(context.Background(), safeTime)
	defer cancel()
	if was == open {
		_ = k.safe(ctx, device)
		return open
	}
	if was == lost {
		if k.safe(ctx, device) == nil {
			return lost
		}
		k.shut(device)
	}
	if err := k.open(ctx, device); err != nil {
		k.opts.Safety(fmt.Errorf("it cannot be reached: %w", err))
		return closed
	}
	return open
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
