package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// turn lets the transactions of one bus go one at a time, and gives up on one
// that does not come back.
type turn struct {
	bus     string
	timeout time.Duration
	advice  string // what helps a bus that is stuck
	report  func(problem error)

	// held is full while somebody has the bus. A transaction that was given up
	// holds it until it comes back.
	held chan struct{}

	// run is over when the bus is closed.
	run    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	ended bool
	stuck error // why nothing can be asked of the bus; nil if it can
}

func newTurn(bus string, timeout time.Duration, advice string, report func(error)) *turn {
	t := &turn{bus: bus, timeout: timeout, advice: advice, report: report, held: make(chan struct{}, 1)}
	t.run, t.cancel = context.WithCancel(context.Background())
	return t
}

// do has the bus for f alone, a transaction with the chip at a place. If f does
// not come back in time it is left behind, so it must not touch what belongs to
// the caller.
func (t *turn) do(at string, f func() error) error {
	timer := time.NewTimer(t.timeout)
	defer timer.Stop()
	if err := t.take(timer.C); err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() { // end waits for it
		result <- f() // before the bus is given back, see giveUp
		t.back()
	}()
	timer.Reset(t.timeout)
	select {
	case err := <-result:
		return err
	case <-timer.C:
		return t.giveUp(at, result)
	}
}

// seize has the bus for f, which may take longer than a transaction, and returns
// at once. Who asks meanwhile gets the error why. It reports false if it cannot
// have the bus now. The context of f ends when the bus is closed.
func (t *turn) seize(why error, f func(ctx context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.stuck != nil {
		return false
	}
	select {
	case t.held <- struct{}{}:
	default:
		return false
	}
	t.stuck = why
	go func() { // end waits for it
		f(t.run)
		t.mu.Lock()
		t.stuck = nil
		t.mu.Unlock()
		<-t.held
	}()
	return true
}

// take waits for the bus, as long as it is not stuck.
func (t *turn) take(late <-chan time.Time) error {
	t.mu.Lock()
	stuck, ended := t.stuck, t.ended
	t.mu.Unlock()
	switch {
	case ended:
		return errClosed()
	case stuck != nil:
		return stuck
	}
	select {
	case t.held <- struct{}{}:
		return nil
	case <-late:
		return fmt.Errorf("%s has been busy for %v: %w", t.bus, t.timeout, gateway.ErrTimeout)
	}
}

// giveUp leaves a transaction behind, unless it came back just now.
func (t *turn) giveUp(at string, result <-chan error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case err := <-result:
		return err
	default: // whoever sends the result finds stuck and clears it
	}
	t.stuck = fmt.Errorf("%s is stuck: a transaction with %s has not come back within %v; %s: %w: %w",
		t.bus, at, t.timeout, t.advice, gateway.ErrTimeout, gateway.ErrUnavailable)
	t.report(t.stuck)
	return t.stuck
}

// back gives the bus to the next.
func (t *turn) back() {
	t.mu.Lock()
	if t.stuck != nil {
		t.stuck = nil
		t.report(nil)
	}
	t.mu.Unlock()
	<-t.held
}

// end waits for the transaction under way, not longer than grace, and lets
// nobody have a turn any more.
func (t *turn) end(grace time.Duration) error {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.cancel()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case t.held <- struct{}{}:
		return nil
	case <-timer.C:
		return fmt.Errorf("bus %s is left behind with a transaction that does not come back: %w", t.bus, gateway.ErrTimeout)
	}
}
