package command

import (
	"context"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// Call takes in a command whose sender waits for the answer. nil means that
// it is on record; wait then gives its final state, unless ctx ends first (the
// command goes on, and is reported as any other) or the gateway stops
// (gateway.ErrUnavailable).
//
// On error nothing has happened and nothing is on record, since the sender is
// told at once: gateway.ErrInvalid is a command of the wrong shape, ErrUnknown
// one for a device or action that is not there, ErrFull one for which the
// device has no room, ErrUnavailable one that comes while the gateway stops, or
// for a device that could not be made yet.
func (i *Inbox) Call(ctx context.Context, cmd gateway.Command) (wait func(context.Context) (gateway.Result, error), err error) {
	d := i.dispatcher
	if err := Check(cmd); err != nil {
		return nil, err
	}
	if err := i.reaches(cmd.Device); err != nil {
		return nil, err
	}
	w := d.fleet.Load().of(cmd.Device)
	if _, err := w.find(cmd); err != nil {
		return nil, err
	}
	if n, full := d.full(w, bytesOf(cmd)); full {
		return nil, fmt.Errorf("%d commands wait for device %s already: %w", n, cmd.Device, gateway.ErrFull)
	}
	t, repeat, err := d.admit(ctx, i.scope(cmd), d.until(cmd))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (gateway.Result, error) {
		if repeat != nil {
			r := *repeat
			r.Repeated = true
			return unscoped(r), nil
		}
		r, err := d.wait(ctx, t)
		return unscoped(r), err
	}, nil
}
