package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Do carries out a command of this board itself and waits for its final
// state. It goes the same way as any other: journalled, in order with the
// others for its device, and reported upstream. A command without an id gets
// one. If ctx ends before, the command goes on all the same.
func (d *Dispatcher) Do(ctx context.Context, cmd gateway.Command) (gateway.Result, error) {
	cmd.ID = cmp.Or(cmd.ID, "local-"+rand.Text())
	cmd.Origin = cmp.Or(cmd.Origin, gateway.OriginLocal)
	if err := Check(cmd); err != nil {
		return gateway.Result{}, err
	}
	t, repeat, err := d.admit(ctx, cmd, d.until(cmd))
	switch {
	case err != nil:
		return gateway.Result{}, err
	case repeat != nil:
		r := *repeat
		r.Repeated = true
		return r, nil
	}
	return d.wait(ctx, t)
}

// until is when the expiry of a command that was set by the clock of this board comes.
func (d *Dispatcher) until(cmd gateway.Command) time.Time {
	if cmd.Expires.IsZero() {
		return time.Time{}
	}
	return time.Now().Add(cmd.Expires.Sub(d.opts.Clock.Now()))
}

// Stopping is closed when no command is begun any more.
func (d *Dispatcher) Stopping() <-chan struct{} { return d.stopping }

// wait is for the final state of a command under way. An error wraps that of
// ctx, and then the command goes on, or gateway.ErrUnavailable.
func (d *Dispatcher) wait(ctx context.Context, t *ticket) (gateway.Result, error) {
	done := d.watch(t)
	select {
	case <-done:
		return t.result, t.why
	case <-d.stopped:
	case <-ctx.Done():
		return gateway.Result{}, fmt.Errorf("command %s goes on, its result will be reported upstream: %w", sendersID(t.id), ctx.Err())
	}
	select {
	case <-done: // finished as the last thing
		return t.result, t.why
	default:
		return gateway.Result{}, fmt.Errorf("command %s: the gateway stops; the next start decides what becomes of it: %w", sendersID(t.id), gateway.ErrUnavailable)
	}
}

// admit journals a command and queues it for its device. If it has reached
// its final state before, that is returned as repeat; if it is under way, its
// ticket is. It waits for room before it writes, so that what is journalled
// always has a place. On error, the command has none.
func (d *Dispatcher) admit(ctx context.Context, cmd gateway.Command, until time.Time) (t *ticket, repeat *gateway.Result, err error) {
	bytes := bytesOf(cmd)
	w, err := d.admission(ctx, cmd.Device, bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("command %s for device %s: %w", cmd.ID, cmd.Device, err)
	}
	queued := false
	defer func() {
		if !queued {
			d.release(w, bytes)
		}
		<-w.admission
	}()
	if t := d.ticket(cmd.ID); t != nil {
		return t, nil, nil
	}
	entry, err := d.journal(ctx, cmd)
	switch {
	case err != nil:
		return nil, nil, err
	case entry.Result != nil:
		return nil, entry.Result, nil
	case d.fleet.Load().of(entry.Command.Device) != w:
		return nil, nil, fmt.Errorf("command %s is on record for device %s and waits for the next start: %w",
			cmd.ID, entry.Command.Device, gateway.ErrUnavailable)
	}
	queued = true
	d.mu.Lock()
	defer d.mu.Unlock()
	t = d.enqueue(w, cmd, bytes)
	t.until = until
	return t, nil, nil
}

// admission waits for room with the worker of a device, and for its admission, and
// takes both: until the admission is given back, that one stays the worker.
func (d *Dispatcher) admission(ctx context.Context, id gateway.DeviceID, bytes int) (*worker, error) {
	for {
		w := d.fleet.Load().of(id)
		if err := d.reserve(ctx, w, bytes); err != nil {
			return nil, err
		}
		if err := d.take(ctx, w.admission); err != nil {
			d.release(w, bytes)
			return nil, err
		}
		if d.fleet.Load().of(id) == w {
			return w, nil
		}
		<-w.admission // the devices have changed meanwhile
		d.release(w, bytes)
	}
}

// take waits for a token, once Run has begun and until it stops.
func (d *Dispatcher) take(ctx context.Context, token chan<- struct{}) error {
	if err := d.open(ctx); err != nil {
		return err
	}
	select {
	case token <- struct{}{}:
		return nil
	case <-d.stopping:
		return errStopping()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// journal puts a command on record. An entry that is there without a result although
// the command is not under way comes from a Begin that failed and wrote all
// the same; it is carried out like a first one.
func (d *Dispatcher) journal(ctx context.Context, cmd gateway.Command) (gateway.Entry, error) {
	cmd.Expires = cmd.Expires.UTC() // some zones have no JSON form
	if cmd.Received = cmd.Received.UTC(); cmd.Received.IsZero() {
		cmd.Received = d.opts.Clock.Now().UTC()
	}
	entry, _, err := d.opts.Journal.Begin(ctx, cmd)
	if err != nil {
		return gateway.Entry{}, fmt.Errorf("command %s for device %s: %w", cmd.ID, cmd.Device, err)
	}
	return entry, nil
}
