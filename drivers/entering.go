package drivers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// The pauses between attempts.
	minPause = time.Second
	maxPause = time.Minute
	// settled is how long a device must have been open for the pauses to start
	// anew, if nothing was asked of it.
	settled = 10 * time.Second
	// maxFailures is after how many failed reads in a row a device that answers is
	// set up anew, in case it has lost its power in between; not more often than
	// each renewEvery.
	maxFailures = 3
	renewEvery  = time.Minute
)

// pauses give the times between attempts: they double, and the upper half of
// each is random.
type pauses struct {
	last time.Duration
	// tried is when the last attempt ended, due when the next may begin.
	tried, due time.Time
}

func (p *pauses) grow() {
	p.last = min(max(minPause, 2*p.last), maxPause)
	p.tried = time.Now()
	p.due = p.tried.Add(p.last/2 + rand.N(p.last/2+1))
}

// over tells whether the next attempt may begin.
func (p *pauses) over(eager bool) bool {
	return !time.Now().Before(p.due) || eager && time.Since(p.tried) >= minPause
}

func (p *pauses) reset() { p.last, p.due = 0, time.Time{} }

// enter lets a call into the open device; leave must follow. If the device is
// not open it is looked for, and the caller waits for that until ctx ends. One
// who is eager does not wait for the end of a pause.
func (k *Keeper) enter(ctx context.Context, eager bool) error {
	for {
		a, err := k.admit(eager)
		if a == nil {
			return err
		}
		if err := a.await(ctx); err != nil {
			return err
		}
		eager = false
	}
}

// admit counts a call in, or says why it cannot be, or returns the attempt that
// is to be waited for.
func (k *Keeper) admit(eager bool) (*attempt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.ended:
		return nil, fmt.Errorf("the gateway is stopping: %w", gateway.ErrUnavailable)
	case k.attempt != nil:
		return k.attempt, nil
	case k.phase == open:
		k.calls++
		return nil, nil
	case k.calls > 0:
		return nil, fmt.Errorf("%w; it cannot be opened anew before a call into its driver has come back", k.why)
	case !k.replugged() && !k.wait.over(eager):
		return nil, k.why
	}
	k.begin()
	return k.attempt, nil
}

// leave counts a call out, and notes that the device is lost if it ended so.
func (k *Keeper) leave(err error, readings bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls--
	if err == nil {
		k.worked, k.failures = true, 0
	}
	if errors.Is(err, gateway.ErrUnavailable) && !readings {
		k.lose(err)
	}
}

// readFailed counts a read that failed although the device was there.
func (k *Keeper) readFailed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures++
	renewable := k.device.Opener != nil && k.device.Safer == nil // an output would change
	if k.failures >= maxFailures && time.Since(k.openedAt) >= renewEvery && k.phase == open && renewable {
		k.phase, k.why = lost, errAbsent{errors.New("it is set up anew")}
	}
}

// lasts notes how a call that lasts can be ended.
func (k *Keeper) lasts(stop context.CancelFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopRun = stop
	if k.phase != open {
		stop()
	}
}

// cut says why a call with this context was ended by the keeper; nil if it was
// not.
func (k *Keeper) cut(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() == nil || k.phase == open {
		return nil
	}
	return k.why
}

// lose gives the device up until it is found again; mu is held. A sensor or
// actuator that need not be opened cannot be lost; a stream that opens what it
// needs by itself can.
func (k *Keeper) lose(reason error) {
	if k.phase != open || k.device.Opener == nil && k.device.Stream == nil {
		return
	}
	if k.worked || time.Since(k.openedAt) >= settled {
		k.wait.reset()
	}
	k.phase, k.why = lost, errAbsent{reason}
	k.wait.grow()
	k.opts.Changed()
	if k.stopRun != nil {
		k.stopRun()
	}
}

// replugged tells that the device has been plugged in since the last look. It is
// looked before each attempt, too: one that comes too early, right after its
// device file has appeared, must not be followed by a long pause.
func (k *Keeper) replugged() bool {
	before := k.present
	k.present = k.isPresent()
	if before || !k.present {
		return false
	}
	k.wait.reset()
	return true
}

// isPresent is true also of a device that has no device file of its own.
func (k *Keeper) isPresent() bool { return k.opts.Buses.Present(k.opts.Config) }

// look notes that an open device has been pulled out.
func (k *Keeper) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.phase == open && !k.isPresent() {
		k.lose(errors.New("it was pulled out"))
	}
}

// patient tells whether an action waits for a device that is absent.
func (k *Keeper) patient(action string) bool {
	return slices.ContainsFunc(k.Actions(), func(a gateway.Action) bool { return a.Name == action && a.Patient })
}

// pause waits for as long as an eager caller has to; false if that was the last time.
func (k *Keeper) pause(ctx context.Context) bool {
	timer := time.NewTimer(minPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-k.life.Done():
	}
	return false
}
