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
	actions  []gateway.Action
	// slots has a token for each place in queue that is taken or kept.
	slots chan struct{}
	queue chan gateway.Entry
	// resumed come from an earlier run and go before the queue; mu guards them.
	resumed []gateway.Entry
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
		slots: make(chan struct{}, room), queue: make(chan gateway.Entry, room),
		quit: make(chan struct{}), gone: make(chan struct{}),
		now: DeviceStats{Device: id},
	}
	if a != nil {
		w.actions = a.Actions()
	}
	return w
}

// run works until ctx ends, or the worker is dismissed; work outlives ctx by the grace.
func (w *worker) run(ctx, work context.Context) {
	w.heart = w.opts.Health.Heart("commands:"+cmp.Or(string(w.id), "strays"), maxSilence)
	defer w.opts.Health.Remove(w.heart)
	for {
		e, ok := w.next(ctx)
		if !ok {
			return
		}
		turn, held := w.turns.begin(work, w)
		if turn == nil {
			w.putBack(e)
			w.await(ctx, held)
			continue
		}
		w.carryOut(ctx, turn, e)
	}
}

// carryOut brings a command to its final state, if that can be.
func (w *worker) carryOut(ctx context.Context, turn *turn, e gateway.Entry) {
	defer w.turns.end(w)
	w.running(&Running{Command: e.Command.ID, Action: e.Command.Action, Since: time.Now()})
	defer w.running(nil)
	result, final := w.outcome(ctx, turn, &e)
	switch {
	case final:
		w.finish(ctx, e, result)
	case turn.ctx.Err() != nil: // cut short by a change of the devices, or by the stop
		w.putBack(e)
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

// next waits for the next command, and reports false once ctx has ended or the worker
// is dismissed.
func (w *worker) next(ctx context.Context) (gateway.Entry, bool) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for ctx.Err() == nil && !w.dismissed() {
		w.heart.Beat()
		if e, ok := w.nextResumed(); ok {
			return e, true
		}
		select {
		case e := <-w.queue:
			<-w.slots
			return e, ctx.Err() == nil // what is not begun stays pending
		case <-w.back():
			w.unstick()
		case <-tick.C:
		case <-w.quit:
		case <-ctx.Done():
		}
	}
	return gateway.Entry{}, false
}

func (w *worker) dismissed() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}

func (w *worker) nextResumed() (gateway.Entry, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.resumed) == 0 {
		return gateway.Entry{}, false
	}
	e := w.resumed[0]
	w.resumed = w.resumed[1:]
	return e, true
}

// do asks the device to act, with the context of its permit, and calls end when it
// has come back. The driver has the action's time; if it is not back by then, the
// device is stuck.
func (w *worker) do(work, run context.Context, cmd gateway.Command, timeout time.Duration, end func()) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(run, timeout)
	defer cancel()
	cmd.ID = sendersID(cmd.ID)
	c := enter(ctx, w.log, w.actuator, cmd, end)
	back := c.await(work, timeout+courtesy, w.heart.Beat)
	if !back && work.Err() != nil { // the stop has cut it short
		back = c.await(context.WithoutCancel(work), courtesy, w.heart.Beat)
	}
	switch {
	case !back:
		w.gotStuck(c)
		return nil, fmt.Errorf("device did not answer in %v: %w", timeout, gateway.ErrTimeout)
	case c.err == nil || c.over == nil || work.Err() != nil:
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

func (w *worker) unstick() {
	w.stuck = nil
	w.status.Lock()
	w.now.StuckSince = time.Time{}
	w.status.Unlock()
	w.opts.Health.Clear(w.condition())
}
