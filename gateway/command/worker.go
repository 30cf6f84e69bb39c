package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// worker carries out the commands of one device, in order.
type worker struct {
	*Dispatcher
	id       gateway.DeviceID
	actuator gateway.Actuator // nil for the strays
	// admission holds one token: the commands of a device are journalled and queued
	// one by one.
	admission chan struct{}
	wake      chan struct{} // has a token when waiting may have changed
	// waiting are the commands that are not begun, in order; load counts those, too,
	// for which room is kept. Dispatcher.mu guards both.
	waiting []*ticket
	load    load
	heart   *health.Heart
	// quit is closed when the device is no more, gone once the worker has ended.
	quit, gone chan struct{}
	// stuck is the call that was given up and has not come back.
	stuck *call

	status sync.Mutex // guards the rest
	now    DeviceStats
}

func newWorker(d *Dispatcher, id gateway.DeviceID, a gateway.Actuator) *worker {
	w := &worker{
		Dispatcher: d, id: id, actuator: a,
		admission: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		quit: make(chan struct{}), gone: make(chan struct{}),
		now: DeviceStats{Device: id},
	}
	return w
}

// run works until ctx ends, or the worker is dismissed; work outlives ctx by the grace.
func (w *worker) run(ctx, work context.Context) {
	w.heart = w.opts.Health.Heart("commands:"+cmp.Or(string(w.id), "strays"), maxSilence)
	defer w.opts.Health.Remove(w.heart)
	for {
		t, e := w.next(ctx)
		if t == nil {
			return
		}
		turn, held := w.turns.begin(work, w)
		switch {
		case turn == nil:
			w.await(ctx, held)
		case w.dequeue(t, turn.stop):
			w.carryOut(ctx, turn, t, e)
			w.turns.end(w)
		default: // cancelled just now
			w.turns.end(w)
		}
	}
}

// carryOut brings a command to its final state, if that can be.
func (w *worker) carryOut(ctx context.Context, turn *turn, t *ticket, e gateway.Entry) {
	w.running(&Running{Command: sendersID(e.Command.ID), Action: e.Command.Action, Since: time.Now()})
	defer w.running(nil)
	begin, end := context.WithCancelCause(turn.ctx)
	defer end(nil)
	defer context.AfterFunc(ctx, func() { end(nil) })() // nothing begins after ctx
	result, final := w.outcome(begin, turn, e)
	switch {
	case final:
		w.finish(ctx, e, result)
	case turn.ctx.Err() != nil: // cut short by a change of the devices, or by the stop
		w.requeue(t)
	}
}

// await waits until commands may begin again, ctx ends or the worker is dismissed.
func (w *worker) await(ctx context.Context, released <-chan struct{}) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		w.heart.Beat()
		select {
		case <-tick.C:
			continue
		case <-released:
		case <-w.quit:
		case <-ctx.Done():
		}
		return
	}
}

// next waits for a command that may be begun, and returns it with what is on record of
// it; it stays in the backlog. Once ctx has ended or the worker is dismissed, there is
// none.
func (w *worker) next(ctx context.Context) (*ticket, gateway.Entry) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for ctx.Err() == nil && !w.dismissed() {
		w.heart.Beat()
		var clock <-chan time.Time
		if t := w.first(); t != nil {
			e, ok := w.recall(ctx, t)
			switch {
			case !ok: // it has been passed over
				continue
			case !w.waitsForClock(t, e):
				return t, e
			}
			clock = time.After(clockTick)
		}
		select {
		case <-w.wake:
		case <-clock:
		case <-w.back():
			w.unstick()
		case <-tick.C:
		case <-w.quit:
		case <-ctx.Done():
		}
	}
	return nil, gateway.Entry{}
}

// clockTick is how often a command that waits for the clock looks at it.
const clockTick = time.Second

// waitsForClock reports whether a command that expires still has time to wait for a
// clock that can be trusted, so that a board without one does not deny after each boot
// what was pending. The time is counted from the start, so it holds up what is behind
// the command no longer than that.
func (w *worker) waitsForClock(t *ticket, e gateway.Entry) bool {
	return !e.Command.Expires.IsZero() && t.until.IsZero() && !w.opts.Clock.Trusted() && time.Since(w.began) < w.fleet.Load().ClockWait
}

// nudge tells a worker to look at what waits.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it has been told
	}
}

func (w *worker) dismissed() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}

// do asks the device to act, with the context of its permit, and calls end when it
// has come back. The driver has the action's time, and less if work ends; if it is
// not back by then, the device is stuck. What consists of several commands may take all
// of its time to end in order when it is cancelled.
func (w *worker) do(work, run context.Context, cmd gateway.Command, action gateway.Action, end func()) (map[string]any, error) {
	timeout, ending := cmp.Or(action.Timeout, w.fleet.Load().Timeout), courtesy
	if action.Resumable {
		ending = timeout
	}
	ctx, cancel := context.WithTimeout(run, timeout)
	defer cancel()
	cmd.ID = sendersID(cmd.ID)
	c := enter(ctx, w.log, w.actuator, cmd, end)
	back := c.await(work, timeout+courtesy, w.heart.Beat)
	if !back && work.Err() != nil { // it was cut short
		if cancellation(work) == nil {
			ending = courtesy
		}
		back = c.await(context.WithoutCancel(work), ending, w.heart.Beat)
	}
	if !back {
		w.gotStuck(c)
	}
	switch why := cancellation(work); {
	case !back && why != nil:
		return nil, fmt.Errorf("%w; the device has not come back from it: %w", why, gateway.ErrTimeout)
	case !back:
		return nil, fmt.Errorf("device did not answer in %v: %w", timeout, gateway.ErrTimeout)
	case c.err == nil:
	case why != nil:
		return c.values, fmt.Errorf("%w while it was carried out: %w", why, c.err)
	case c.over == nil || work.Err() != nil:
	case errors.Is(c.over, context.DeadlineExceeded):
		return nil, fmt.Errorf("device did not answer in %v: %w", timeout, c.err)
	default:
		return nil, fmt.Errorf("cut short, since %w: %w", c.over, c.err)
	}
	return c.values, c.err
}

// label says for people which device it is.
func (w *worker) label() string { return cmp.Or(w.fleet.Load().Labels[w.id], "device "+string(w.id)) }

func (w *worker) condition() string { return "actuator:" + string(w.id) }

func (w *worker) gotStuck(c *call) {
	w.stuck = c
	w.status.Lock()
	w.now.StuckSince = c.began
	w.status.Unlock()
	w.opts.Health.Raise(w.condition(), health.Warning, fmt.Sprintf(
		"%s: it has not come back from a command and takes no other until it does; check the wiring and the bus", w.label()))
}

// back is closed when a stuck driver has come back; nil if none is stuck.
func (w *worker) back() <-chan struct{} {
	if w.stuck == nil {
		return nil
	}
	return w.stuck.done
}

// unstick states that a driver has come back from a command that was given up. What it
// has done meanwhile is told here alone: the command had its end before.
func (w *worker) unstick() {
	w.log.Warn("device has come back from a command that was given up", "device", w.id,
		"after", time.Since(w.stuck.began).Round(time.Millisecond), "error", w.stuck.err)
	w.stuck = nil
	w.status.Lock()
	w.now.StuckSince = time.Time{}
	w.status.Unlock()
	w.opts.Health.Clear(w.condition())
}
