package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxSilence is what a heart of this package promises.
	maxSilence = time.Minute
	// beatEvery bounds a wait in which there is nothing to do.
	beatEvery = maxSilence / 3
	// appendTimeout bounds how long one Append may wait for room; it is tried
	// again, but the bound on what is collected meanwhile stays in force.
	appendTimeout = 10 * time.Second
	// The pauses after the queue has refused.
	minAppendPause = 250 * time.Millisecond
	maxAppendPause = 15 * time.Second
)

// appender is the one goroutine of a Batcher that appends.
type appender struct {
	*Batcher
	pause backoff
	// retry is when to try again after a refusal; zero means at once.
	retry time.Time
	// limit is how many messages the next Append carries.
	limit int
	// refusal is why the last Append that failed did.
	refusal error
}

// Run appends until ctx ends, then hands over what was collected, within the
// grace. The error says how many readings that did not work for.
func (b *Batcher) Run(ctx context.Context) error {
	heart := b.opts.Health.Heart("batcher:"+string(b.opts.Lane), maxSilence)
	defer b.opts.Health.Remove(heart)
	defer b.opts.Health.Clear(b.code)
	a := &appender{Batcher: b, pause: backoff{min: minAppendPause, max: maxAppendPause}, limit: maxGroupMessages}
	for ctx.Err() == nil {
		heart.Beat()
		b.closeOld()
		if a.step(ctx) {
			continue
		}
		a.idle(ctx, a.wait())
	}
	return a.drain(context.WithoutCancel(ctx))
}

// closeOld closes the window of thinning and seals the open message, each if
// its time has come.
func (b *Batcher) closeOld() {
	window := b.opts.Thinning()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closeWindow(time.Now(), window)
	if b.open.readings > 0 && time.Since(b.open.first) >= b.opts.MaxAge {
		b.seal()
	}
}

// wait is how long there is nothing to do, unless woken.
func (a *appender) wait() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := beatEvery
	if a.open.readings > 0 {
		d = min(d, time.Until(a.open.first.Add(a.opts.MaxAge)))
	}
	if !a.thin.empty() {
		d = min(d, time.Until(a.thin.due))
	}
	if len(a.box.waiting) > 0 {
		d = min(d, time.Until(a.retry))
	}
	return max(d, 0)
}

func (a *appender) idle(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.wake:
	case <-ctx.Done():
	}
}

// step appends one group, if there is one and it is time; it reports whether
// that got on.
func (a *appender) step(ctx context.Context) bool {
	if time.Now().Before(a.retry) {
		return false
	}
	a.mu.Lock()
	group := a.box.lend(a.limit)
	a.mu.Unlock()
	if len(group) == 0 {
		return false
	}
	messages := make([]gateway.Message, len(group))
	for i, s := range group {
		messages[i] = s.message
	}
	tctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	_, err := a.opts.Queue.Append(tctx, messages...)
	for _, s := range group {
		if err == nil && s.stored != nil {
			s.stored() // without mu: it may write to the card
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.succeeded(messages)
	case errors.Is(err, gateway.ErrInvalid):
		a.condemned(group, err)
	default:
		a.box.settle(false)
		a.refusal = err
		if ctx.Err() == nil {
			a.failed(err)
		}
		return false
	}
	return true
}

// succeeded, condemned and failed are called with mu held.
func (a *appender) succeeded(messages []gateway.Message) {
	a.box.settle(true)
	a.accepted(messages)
	a.pause.reset()
	a.retry, a.limit = time.Time{}, maxGroupMessages
	if a.stats.Problem != "" {
		a.stats.Problem = ""
		a.log.Info("queue accepts readings again", "waiting", len(a.box.waiting), "lost", a.stats.Lost)
	}
	a.opts.Health.Clear(a.code)
}

// condemned handles messages that trying again will not help: alone, such a
// message is given up; in a group, they are tried one by one.
func (a *appender) condemned(group []sealed, err error) {
	if len(group) > 1 {
		a.box.settle(false)
		a.limit = 1
		return
	}
	a.box.settle(true)
	a.lose(group, err.Error())
}

func (a *appender) failed(err error) {
	pause := a.pause.next()
	a.retry = time.Now().Add(pause)
	if a.stats.Problem == "" {
		a.log.Warn("queue does not accept readings, they are kept and tried again",
			"error", err, "room_bytes", a.opts.MaxPending-a.box.bytes)
	}
	a.stats.Problem = err.Error()
}

// drain seals and appends everything within the grace.
func (a *appender) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.opts.Grace)
	defer cancel()
	a.mu.Lock()
	a.stopped = true
	a.closeWindow(time.Now(), 0)
	a.seal()
	a.mu.Unlock()
	a.retry, a.refusal = time.Time{}, errTooSlow
	a.pause.reset()
	for ctx.Err() == nil && a.waiting() > 0 {
		if !a.step(ctx) {
			a.idle(ctx, time.Until(a.retry))
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	left := a.box.clear()
	if len(left) == 0 {
		return nil
	}
	before := a.stats.Lost
	a.lose(left, a.refusal.Error())
	return fmt.Errorf("lane %s: %d readings lost at stop, the queue did not take them within %v: %w",
		a.opts.Lane, a.stats.Lost-before, a.opts.Grace, a.refusal)
}

func (a *appender) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.box.waiting)
}
