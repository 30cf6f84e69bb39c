package bus

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// reports collects what a bus has said of itself.
type reports struct {
	mu  sync.Mutex
	all []error
}

func (r *reports) add(problem error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, problem)
}

func TestTurnGoesOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn("i2c-1", time.Minute, "look", func(err error) { t.Errorf("reported: %v", err) })
		inside := 0
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				err := turn.do("0x76", func() error {
					inside++
					defer func() { inside-- }()
					time.Sleep(time.Second)
					if inside != 1 {
						t.Errorf("%d at a time", inside)
					}
					return gateway.ErrInvalid
				})
				if !errors.Is(err, gateway.ErrInvalid) {
					t.Errorf("its own error is lost: %v", err)
				}
			})
		}
		all.Wait()
		if err := turn.end(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// TestStuckTransaction: it is given up, told, holds the bus until it is back,
// and meanwhile nobody waits.
func TestStuckTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told reports
		turn := newTurn("i2c-1", 2*time.Second, "cut the power", told.add)
		release := make(chan struct{})
		begun := time.Now()
		err := turn.do("0x76", func() error { <-release; return nil })
		if time.Since(begun) != 2*time.Second || !errors.Is(err, gateway.ErrTimeout) || !errors.Is(err, gateway.ErrUnavailable) ||
			!strings.Contains(err.Error(), "i2c-1 is stuck: a transaction with 0x76 has not come back within 2s; cut the power") {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		begun = time.Now()
		never := func() error { t.Error("asked while the bus is stuck"); return nil }
		if err := turn.do("0x77", never); !errors.Is(err, gateway.ErrTimeout) || time.Since(begun) != 0 {
			t.Errorf("the next one waits %v: %v", time.Since(begun), err)
		}
		close(release)
		synctest.Wait()
		if err := turn.do("0x77", func() error { return nil }); err != nil {
			t.Errorf("once it is back: %v", err)
		}
		if len(told.all) != 2 || told.all[0] == nil || told.all[1] != nil {
			t.Errorf("told: %v", told.all)
		}
		if err := turn.end(time.Second); err != nil {
			t.Errorf("the end: %v", err)
		}
	})
}

// TestEndDoesNotWaitForEver for a transaction that does not come back.
func TestEndDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn("i2c-1", time.Minute, "look", func(error) {})
		go func() { _ = turn.do("0x76", func() error { time.Sleep(10 * time.Second); return nil }) }()
		synctest.Wait()
		begun := time.Now()
		if err := turn.end(2 * time.Second); !errors.Is(err, gateway.ErrTimeout) || time.Since(begun) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		time.Sleep(10 * time.Second)
	})
}

// TestBusyBus: who waits for a turn waits no longer than the time of the bus.
func TestBusyBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn("i2c-1", 2*time.Second, "look", func(error) {})
		go func() { _ = turn.do("0x76", func() error { time.Sleep(1900 * time.Millisecond); return nil }) }()
		go func() {
			time.Sleep(time.Second)
			_ = turn.do("0x76", func() error { time.Sleep(1900 * time.Millisecond); return nil })
		}()

		time.Sleep(1500 * time.Millisecond)
		err := turn.do("0x77", func() error { t.Error("it got a turn"); return nil })
		if !errors.Is(err, gateway.ErrTimeout) || errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "busy") {
			t.Error(err)
		}
		if err := turn.end(time.Minute); err != nil {
			t.Error(err)
		}
		if err := turn.do("0x77", func() error { t.Error("it got a turn"); return nil }); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("after the end: %v", err)
		}
	})
}
