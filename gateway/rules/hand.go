package rules

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// minPause and maxPause bound the pauses after a command that did not succeed.
	minPause = 10 * time.Second
	maxPause = 5 * time.Minute
	// orderLasts is how long a command of a rule may wait to be carried out: what the
	// rule wants can be something else by then.
	orderLasts = time.Minute
)

// branch is which of its commands a rule has had carried out last.
type branch int8

const (
	neither branch = iota
	doing
	otherwise
	safe
)

// order is a command that a rule wants carried out.
type order struct {
	*command
	// id is that of the first command made of it.
	id string
	// repeatable is that a failed command may be repeated without harm.
	repeatable bool
	// until is when to give up; zero is never.
	until time.Time
	// attempt counts the commands that were made of it. It belongs to the hand that has
	// the order.
	attempt int
}

// hand carries out the orders of one rule, one at a time. A new order takes the
// place of one that has not succeeded yet.
type hand struct {
	engine *Engine
	rule   string
	wake   chan struct{}

	mu      sync.Mutex // guards the rest
	wanted  *order
	report  Report
	problem string // why the order has not succeeded
}

// Report is what has become of the last command of a rule.
type Report struct {
	Command string           `json:"command"`
	Device  gateway.DeviceID `json:"device"`
	Action  string           `json:"action"`
	Status  gateway.Status   `json:"status"`
	Detail  string           `json:"detail,omitempty"`
	Time    time.Time        `json:"time"`
	// Again is when it is tried again; zero if it is not.
	Again time.Time `json:"again,omitzero"`
}

func newHand(e *Engine, rule string) *hand {
	return &hand{engine: e, rule: rule, wake: make(chan struct{}, 1)}
}

// give hands an order over, or takes the last one back (nil); it does not wait.
func (h *hand) give(o *order) {
	h.mu.Lock()
	h.wanted, h.problem = o, ""
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run carries out orders until ctx ends. The command that is under way then goes on
// without it, as every command does.
func (h *hand) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-h.wake:
			h.work(ctx)
		case <-ctx.Done():
		}
	}
}

// work tries the latest order until it has succeeded, or there is none any more.
func (h *hand) work(ctx context.Context) {
	var under *order
	pause := minPause
	for ctx.Err() == nil {
		o := h.current()
		if o == nil {
			return
		}
		if o != under {
			under, pause = o, minPause
		}
		final, counted := h.try(ctx, o, pause)
		if final {
			continue // there may be another by now
		}
		if counted {
			o.attempt++
		}
		h.rest(ctx, pause)
		pause = min(2*pause, maxPause)
	}
}

func (h *hand) current() *order {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wanted
}

// rest waits, or until there is another order.
func (h *hand) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.wake:
	case <-ctx.Done():
	}
}

// try makes one attempt. final is that the order is over, successful or given up;
// counted, that another attempt is another command.
func (h *hand) try(ctx context.Context, o *order, pause time.Duration) (final, counted bool) {
	r, err := h.carryOut(ctx, o)
	if ctx.Err() != nil && err != nil {
		return true, false // the stop, which says nothing about the order
	}
	r.Time = h.engine.opts.Clock.Now()
	problem := ""
	switch {
	case err != nil:
		r.Status, r.Detail = gateway.StatusFailed, err.Error()
		problem = r.Detail
	case r.Status != gateway.StatusDone:
		problem, counted = fmt.Sprintf("%s: %s", r.Status, r.Detail), true
	}
	final = problem == "" || r.Status == gateway.StatusUnknownOutcome ||
		r.Status == gateway.StatusFailed && err == nil && !o.repeatable ||
		!o.until.IsZero() && time.Now().Add(pause).After(o.until)
	if !final {
		r.Again = r.Time.Add(pause)
	}
	h.conclude(o, r, problem, final)
	return final, counted
}

// conclude notes what an attempt has come to.
func (h *hand) conclude(o *order, r Report, problem string, final bool) {
	what := fmt.Sprintf("%s %s", o.device, o.action)
	h.mu.Lock()
	h.report = r
	if h.wanted == o {
		if final {
			h.wanted = nil
		}
		if h.problem = ""; problem != "" {
			h.problem = fmt.Sprintf("%s was not carried out, %s", what, problem)
		}
	}
	h.mu.Unlock()
	h.engine.poke()
	if problem != "" {
		h.engine.log.Warn("a rule was not obeyed", "rule", h.rule, "what", what, "problem", problem, "again", !final)
	}
}

// carryOut makes a command of an order.
func (h *hand) carryOut(ctx context.Context, o *order) (Report, error) {
	cmd := gateway.Command{
		ID: o.id, Device: o.device, Action: o.action, Args: maps.Clone(o.args), Origin: gateway.OriginRule,
		Expires: h.engine.opts.Clock.Now().Add(orderLasts),
	}
	if o.attempt > 1 {
		cmd.ID = fmt.Sprintf("%s-%d", o.id, o.attempt)
	}
	result, err := h.engine.opts.Commands.Do(ctx, cmd)
	return Report{Command: cmd.ID, Device: cmd.Device, Action: cmd.Action, Status: result.Status, Detail: result.Detail}, err
}

// state is what has become of the last order, if there was one, and what is wrong
// about it; idle is that nothing is to be done.
func (h *hand) state() (last *Report, problem string, idle bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.report.Device != "" {
		r := h.report
		last = &r
	}
	return last, h.problem, h.wanted == nil
}
