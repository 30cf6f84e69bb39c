package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// PowerConfig is a GPIO line that gives the chips of a bus their power.
type PowerConfig struct {
	LineConfig
	ActiveLow bool          `yaml:"active_low" doc:"The chips have power while the line is low." default:"false"`
	Off       time.Duration `yaml:"off" doc:"How long the power is cut." default:"1s" min:"10ms" max:"30s"`
	Settle    time.Duration `yaml:"settle" doc:"How long the chips need after that." default:"200ms" min:"0s" max:"10s"`
}

const (
	// hopeless is how many transactions have to time out in a row for the bus to
	// be reported, and for something to be done about it.
	hopeless = 3
	// The pauses between attempts: they double, and begin anew after a longer one.
	minRecovery, maxRecovery = 10 * time.Second, time.Hour
)

// step is something that can free a bus.
type step struct {
	name string
	// try has the bus for itself. When ctx ends the gateway is stopping.
	try func(ctx context.Context) error
}

// recovery watches whether a bus works, and tries to free one that does not.
type recovery struct {
	bus    string
	turn   *turn
	steps  []step
	report func(problem error)
	log    *slog.Logger

	mu sync.Mutex
	// failures counts the transactions that have timed out since one has not.
	failures int
	told     bool // that the bus does not work
	attempts int
	pause    time.Duration
	next     time.Time // of an attempt, at the earliest
}

// note takes the outcome of a transaction. What a chip does wrong, or that it is
// not there, says that the bus works.
func (r *recovery) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, gateway.ErrTimeout) || errors.Is(err, errArbitration) {
		if r.failures++; r.failures == hopeless && !r.told {
			r.told = true
			r.report(r.problem(err, "nothing was tried yet"))
		}
		return
	}
	r.failures = 0
	if r.told {
		r.told = false
		r.report(nil)
	}
}

func (r *recovery) problem(err error, tried string) error {
	if len(r.steps) == 0 {
		tried = "nothing is tried, since its key recover is not set"
	}
	return fmt.Errorf("%s does not work: the last %d transactions have failed (%s): %w", r.bus, hopeless, tried, err)
}

// attempt takes the next step, if it is time for one, and nobody has the bus. It
// does not wait for it.
func (r *recovery) attempt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if len(r.steps) == 0 || r.failures < hopeless || now.Before(r.next) {
		return
	}
	s := r.steps[r.attempts%len(r.steps)]
	why := fmt.Errorf("%s is being freed (%s): %w", r.bus, s.name, gateway.ErrUnavailable)
	if !r.turn.seize(why, func(ctx context.Context) { r.done(s, s.try(ctx)) }) {
		return
	}
	if r.told { // it may not come back
		r.report(r.problem(gateway.ErrUnavailable, s.name+" is under way"))
	}
	r.attempts++
	r.failures = 0
	if r.pause = min(2*r.pause, maxRecovery); r.pause == 0 || now.Sub(r.next) > maxRecovery {
		r.pause = minRecovery
	}
	r.next = now.Add(r.pause)
}

// done tells what has come of a step. Whether it has helped, the next
// transactions will show.
func (r *recovery) done(s step, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tried := fmt.Sprintf("%s was tried", s.name)
	if err != nil {
		tried = fmt.Sprintf("%s could not be done: %v", s.name, err)
	}
	r.log.Warn("a bus was to be freed", "bus", r.bus, "step", s.name, "attempt", r.attempts, "next", r.pause, "error", err)
	if r.told {
		r.report(r.problem(gateway.ErrUnavailable, tried))
	}
}
