package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// errCancelled is the cause of a command that was ended early.
var errCancelled = errors.New("cancelled")

// Cancel ends a command early and returns its final state. One that waits is
// denied, and its device never hears of it; the context of one that is being
// carried out ends, and it fails, unless its device has done it all the same. by
// says for people who wants it so.
//
// The id is that of the journal. The error wraps gateway.ErrUnknown if no such
// command is under way. If ctx ends before the device has come back, the command
// still ends, and is reported as any other.
func (d *Dispatcher) Cancel(ctx context.Context, id, by string) (gateway.Result, error) {
	cause := fmt.Errorf("%w by %s", errCancelled, by)
	t, stop := d.abort(id, cause)
	switch {
	case t == nil:
		return gateway.Result{}, d.notUnderWay(ctx, id)
	case stop != nil:
		stop(cause)
		return d.wait(ctx, t)
	}
	result, err := d.denyWaiting(ctx, t, cause)
	if err != nil {
		d.requeue(t)
		return gateway.Result{}, fmt.Errorf("cancel command %s: it still waits: %w", sendersID(id), err)
	}
	return result, nil
}

// abort finds a command that is to be cancelled. If it waits it is withdrawn, so that
// nobody begins it; else stop ends it.
func (d *Dispatcher) abort(id string, cause error) (t *ticket, stop func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch t = d.underway[id]; {
	case t == nil:
		return nil, nil
	case t.stop == nil:
		d.withdraw(t)
		t.stop = func(error) {} // it is being ended already
		return t, nil
	}
	t.cancelled = cause
	return t, t.stop
}

// notUnderWay says why a command cannot be cancelled.
func (d *Dispatcher) notUnderWay(ctx context.Context, id string) error {
	e, found, err := d.opts.Journal.Entry(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("cancel command %s: %w", sendersID(id), err)
	case found && e.Result != nil:
		return fmt.Errorf("command %s has ended before, it is %s: %w", sendersID(id), e.Result.Status, gateway.ErrUnknown)
	default:
		return fmt.Errorf("there is no command %.130q: %w", sendersID(id), gateway.ErrUnknown)
	}
}

// denyWaiting records the final state of a command that was withdrawn. The end of ctx,
// which is that of somebody's patience, changes nothing.
func (d *Dispatcher) denyWaiting(ctx context.Context, t *ticket, why error) (gateway.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	e, found, err := d.opts.Journal.Entry(ctx, t.id)
	if err != nil || !found {
		return gateway.Result{}, fmt.Errorf("its entry cannot be read: %w", err)
	}
	result := t.w.cancelled(e, why)
	if err := d.opts.Journal.Finish(ctx, result, d.report(result)); err != nil {
		return gateway.Result{}, err
	}
	d.conclude(e, result, 0)
	return result, nil
}
