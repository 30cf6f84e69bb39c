package bus

import (
	"context"
	"time"
)

// Wait gives a chip time for its work, unless ctx ends before; then it returns
// the error of ctx.
func Wait(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil { // select alone would choose at random
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
