package scene

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// run is one run of a scene. What it decides follows from the journal and its
// record alone, so that the run of the next start decides the same.
type run struct {
	*scene
	cmd    gateway.Command
	record record
	// until is when the time of the steps is over, end when that of undoing is.
	until, end time.Time
	parts      []Part
	// failure is why the scene is not done.
	failure error
}

// play takes the steps. An error means that the run has no end yet, or that it
// cannot be put on record how far it is.
func (r *run) play(ctx context.Context) error {
	steps, cancel := r.within(ctx, r.end)
	defer cancel()
	for i, c := range r.plan.Steps {
		p, err := r.step(steps, i)
		if err == nil {
			err = r.interrupted(steps)
		}
		if err != nil {
			return err
		}
		why := cancelled(steps)
		if why != nil {
			p.Status, p.Detail = gateway.StatusFailed, why.Error()
		}
		r.parts = append(r.parts, p)
		if p.fine() {
			continue
		}
		if err := r.decide(i, p.Status); err != nil {
			return err
		}
		if c.OnFailure == onFailureContinue && why == nil {
			continue
		}
		r.failure = fmt.Errorf("%v", p)
		if c.OnFailure == onFailureUndo {
			return r.undo(context.WithoutCancel(ctx), i)
		}
		return nil
	}
	return nil
}

// decide puts on record what the next start could not find out again.
func (r *run) decide(i int, status gateway.Status) error {
	if r.record.Steps == nil {
		r.record.Steps = make(map[int]gateway.Status)
	}
	if r.record.Steps[i+1] == status {
		return nil
	}
	r.record.Steps[i+1] = status
	if err := r.remember(r.record); err != nil {
		return fmt.Errorf("stopped at step %d, since it could not be put on record: %w", i+1, err)
	}
	return nil
}

// step takes one step, or finds out what has become of it. An error means that the
// run cannot go on.
func (r *run) step(ctx context.Context, i int) (Part, error) {
	c := r.plan.Steps[i]
	p := Part{Step: i + 1, Device: gateway.DeviceID(c.Device), Action: c.Action}
	if c.Wait > 0 {
		p.Wait = c.Wait.String()
	}
	if decided := r.record.Steps[i+1]; decided != "" && decided != statusTaken {
		p.Status = decided
		return p, nil
	}
	if p, err := r.judge(i, p); p.Status != "" || err != nil {
		return p, err
	}
	if c.Wait > 0 {
		return r.wait(ctx, i, p)
	}
	return r.act(ctx, p, c), nil
}

// judge asks the condition of a step. The part gets a status if the step is not
// taken.
func (r *run) judge(i int, p Part) (Part, error) {
	c := r.conditions[i]
	if c == nil || r.record.Steps[i+1] == statusTaken {
		return p, nil
	}
	switch holds, err := c.holds(r.opts, r.plan.MaxAge); {
	case err != nil:
		p.Status, p.Detail = gateway.StatusFailed, "only_if: "+err.Error()
		return p, nil
	case !holds:
		p.Status = statusSkipped
		return p, r.decide(i, statusSkipped)
	}
	return p, r.decide(i, statusTaken)
}

// act sends the command of a step. After the time of the scene it still does, since
// the step may have been done before a restart; if it was not, it has expired.
func (r *run) act(ctx context.Context, p Part, c StepConfig) Part {
	cmd := r.command(r.cmd, strconv.Itoa(p.Step), r.until)
	cmd.Device, cmd.Action, cmd.Args = p.Device, c.Action, plain(c.Args)
	if time.Now().Before(r.until) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.until)
		defer cancel()
	}
	return r.ask(ctx, p, cmd)
}

// wait is a pause.
func (r *run) wait(ctx context.Context, i int, p Part) (Part, error) {
	timer := time.NewTimer(r.plan.Steps[i].Wait)
	defer timer.Stop()
	over := time.NewTimer(time.Until(r.until))
	defer over.Stop()
	select {
	case <-timer.C:
		p.Status = gateway.StatusDone
		return p, r.decide(i, gateway.StatusDone)
	case <-over.C:
	case <-ctx.Done():
	}
	p.Status, p.Detail = gateway.StatusExpired, fmt.Sprintf("the %v of the scene are over", r.plan.Within)
	return p, nil
}

// undo takes back the step that has failed and those before it, the last first.
func (r *run) undo(ctx context.Context, last int) error {
	ctx, cancel := r.within(ctx, r.end)
	defer cancel()
	for i := last; i >= 0; i-- {
		c := r.plan.Steps[i]
		if c.Undo == nil || !r.mayHaveActed(i) {
			continue
		}
		cmd := r.command(r.cmd, strconv.Itoa(i+1)+"/undo", r.end)
		cmd.Device, cmd.Action, cmd.Args = gateway.DeviceID(c.Device), c.Undo.Action, plain(c.Undo.Args)
		p := r.ask(ctx, Part{Step: i + 1, Undo: true}, cmd)
		if err := r.interrupted(ctx); err != nil {
			return err
		}
		r.parts = append(r.parts, p)
		if !p.fine() {
			r.failure = fmt.Errorf("%w; undo of %v", r.failure, p)
		}
	}
	return nil
}

// mayHaveActed tells whether there is something of a step to undo.
func (r *run) mayHaveActed(i int) bool {
	switch r.parts[i].Status {
	case gateway.StatusDone, gateway.StatusFailed, gateway.StatusUnknownOutcome, statusUnfinished:
		return r.parts[i].Wait == ""
	}
	return false
}
