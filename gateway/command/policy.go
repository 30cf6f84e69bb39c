package command

import (
	"context"

	"github.com/fieldpost/fieldpost/gateway"
)

// Policy decides what may be done when: it is asked just before a command is put
// on record as begun.
type Policy interface {
	// Begin is asked about a command whose device, action and arguments have been
	// checked. It may wait a moment, until ctx ends. An error, which wraps
	// gateway.ErrDenied, says why it must not be carried out, and that is all.
	// Otherwise it is to be carried out with the context that is returned, which ends
	// early, with a cause, if the device must not go on; and end is to be called
	// once, when the device has come back, however late, or is not asked after all.
	Begin(ctx context.Context, cmd gateway.Command, action gateway.Action) (run context.Context, end func(), err error)
}

// lenient is the policy if there is none.
type lenient struct{}

func (lenient) Begin(ctx context.Context, _ gateway.Command, _ gateway.Action) (context.Context, func(), error) {
	return ctx, func() {}, nil
}
