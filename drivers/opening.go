package drivers

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// openTime bounds one attempt. It is less than a stream needs to count as good.
	openTime = 8 * time.Second
	// safeTime bounds the taking of the safe state.
	safeTime = 2 * time.Second
	// courtesy is how much longer a driver may take to say that its time is over.
	courtesy = 250 * time.Millisecond
)

// attempt is one attempt to open the device. It has a goroutine of its own, since
// drivers wait on hardware that knows no context.
type attempt struct {
	began time.Time
	done  chan struct{} // closed when the keeper has taken the result over
}

// await waits for the end of the attempt, within ctx and the time that it has.
func (a *attempt) await(ctx context.Context) error {
	late := time.NewTimer(time.Until(a.began.Add(openTime + courtesy)))
	defer late.Stop()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return errAbsent{fmt.Errorf("it is still being opened: %w", gateway.ErrTimeout)}
	case <-late.C:
	}
	return errAbsent{fmt.Errorf("opening it has not come back yet; check the wiring and the bus: %w", gateway.ErrTimeout)}
}

// begin begins an attempt; mu is held, and no call is under way.
func (k *Keeper) begin() {
	a := &attempt{began: time.Now(), done: make(chan struct{})}
	device, made, wasLost := k.device, k.made, k.phase == lost
	k.attempt, k.phase = a, closed
	go func() {
		defer close(a.done)
		var err error
		if !made {
			device, err = k.make()
		}
		made = err == nil
		if wasLost {
			k.shut(device)
		}
		if err == nil {
			ctx, cancel := context.WithTimeout(k.life, openTime)
			err = k.open(ctx, device)
			cancel()
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.device, k.made, k.attempt = device, made, nil
		k.found(err)
	}()
}

// found takes over the result of an attempt.
func (k *Keeper) found(err error) {
	defer k.opts.Changed()
	if err != nil {
		k.why = errAbsent{err}
		k.wait.grow()
		return
	}
	k.phase, k.openedAt, k.worked, k.failures = open, time.Now(), false, 0
}

// make makes the device and gives it what it asks for.
func (k *Keeper) make() (device Device, err error) {
	err = k.guard(func() (err error) {
		if device, err = k.opts.Driver.Make(k.opts.Config, k.opts.Buses); err != nil {
			return err
		}
		if device.Logger != nil {
			device.Logger.LogTo(k.opts.Log)
		}
		if device.FileKeeper != nil && k.opts.Files != "" {
			device.FileKeeper.KeepFiles(k.opts.Files)
		}
		if device.Fetcher != nil && k.opts.Proxy != nil {
			device.Fetcher.FetchThrough(k.opts.Proxy)
		}
		if device.Rememberer != nil && k.opts.Memory != nil {
			device.Rememberer.Remember(k.opts.Memory)
		}
		if device.Timekeeper != nil && k.opts.Time != nil {
			device.Timekeeper.KeepTime(k.opts.Time)
		}
		return nil
	})
	return device, err
}

// open opens the device and brings it into its safe state. On error it is closed.
func (k *Keeper) open(ctx context.Context, device Device) error {
	var err error
	if device.Opener != nil {
		err = k.guard(func() error { return device.Opener.Open(ctx) })
	}
	if err == nil && device.Safer != nil {
		if err = k.safe(ctx, device); err != nil {
			err = fmt.Errorf("it did not take its safe state: %w", err)
		}
	}
	if err != nil {
		k.shut(device)
	}
	return err
}

// safe brings the device into its safe state, and tells how that went; that it
// takes too long is told meanwhile.
func (k *Keeper) safe(ctx context.Context, device Device) error {
	ctx, cancel := context.WithTimeout(ctx, safeTime)
	defer cancel()
	var telling sync.Mutex // what is told last is what holds
	over := false
	late := time.AfterFunc(safeTime+courtesy, func() {
		telling.Lock()
		defer telling.Unlock()
		if !over {
			k.opts.Safety(fmt.Errorf("it has not come back within %v: %w", safeTime, gateway.ErrTimeout))
		}
	})
	err := k.guard(func() error { return device.Safer.Safe(ctx) })
	late.Stop()
	telling.Lock()
	defer telling.Unlock()
	over = true
	k.opts.Safety(err)
	k.opts.Changed()
	return err
}

// shut closes a device that does not work; what is wrong with that is of use to
// developers only.
func (k *Keeper) shut(device Device) {
	if device.Close == nil {
		return
	}
	if err := k.guard(device.Close); err != nil {
		k.opts.Log.Debug("a device that is absent has not closed well", "error", err)
	}
}

// guard makes an error of a panic.
func (k *Keeper) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			k.opts.Log.Error("driver panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("driver panicked: %v; please report this", p)
		}
	}()
	return f()
}
