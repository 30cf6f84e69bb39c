package command

import (
	"context"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// Change replaces the devices while Run runs. Commands under way finish first, but for
// those that can be taken up again, which are cut short and go on afterwards. While
// none is carried out, between is called: it may close devices that are no more, and
// gives those that there are now. Commands that wait go on then: in their order, each
// to its final state. The worker of a device whose actuator is the same stays, with
// what its driver has not come back from.
//
// On an error nothing has changed, and between was not called: commands did not end
// before ctx did, or the gateway stops. One change at a time.
func (d *Dispatcher) Change(ctx context.Context, between func() Devices) error {
	select {
	case <-d.ready:
	case <-d.stopping:
		return errStopping()
	case <-ctx.Done():
		return fmt.Errorf("commands are not taken yet: %w", ctx.Err())
	}
	defer d.turns.release()
	grace := d.fleet.Load().Timeout + 2*courtesy // most have their end by then
	if err := d.turns.hold(ctx, grace); err != nil {
		return err
	}
	before := d.fleet.Load()
	for _, w := range before.all() { // none is on its way to a worker either
		if err := d.take(ctx, w.admission); err != nil {
			return err
		}
		defer func() { <-w.admission }()
	}
	after := d.newFleet(between(), before)
	left := before.without(after)
	for _, w := range left {
		w.dismiss()
	}
	d.fleet.Store(after)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range left {
		w.handOver(after)
	}
	d.tellRoom()
	for _, w := range after.without(before) {
		d.launch(w)
	}
	return nil
}

// launch starts a worker, unless the stop has begun: then what it has is left to the
// next run. The caller holds mu.
func (d *Dispatcher) launch(w *worker) {
	select {
	case <-d.stopping:
		close(w.gone)
	default:
		d.crew.Go(func() {
			defer close(w.gone)
			w.run(d.life, d.work)
		})
	}
}

// dismiss ends a worker that carries nothing out.
func (w *worker) dismiss() {
	close(w.quit)
	<-w.gone
	w.opts.Health.Clear(w.condition())
}

// handOver gives what waits for a worker that was dismissed to those that are there
// now, in the order in which it came; mu is held.
func (w *worker) handOver(to *fleet) {
	for _, t := range w.waiting {
		w.load.add(-1, -t.bytes)
		t.w = to.of(t.device)
		t.w.load.add(1, t.bytes)
		t.w.insert(t)
	}
	w.waiting = nil
}

func errStopping() error {
	return fmt.Errorf("the gateway is stopping: %w", gateway.ErrUnavailable)
}
