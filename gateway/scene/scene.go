package scene

import (
	"context"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// scene takes steps one after the other.
type scene struct {
	*Set
	plan   Plan
	memory gateway.Memory
	// conditions are those of the steps; nil for a step that has none.
	conditions []*condition
}

func newScene(s *Set, c Plan) (*scene, error) {
	one := &scene{Set: s, plan: c, memory: s.opts.Memory(c.ID), conditions: make([]*condition, len(c.Steps))}
	for i, step := range c.Steps {
		if step.OnlyIf == "" {
			continue
		}
		var err error
		if one.conditions[i], err = newCondition(step.OnlyIf, s.opts.Devices); err != nil {
			return nil, fmt.Errorf("step %d: only_if: %w", i+1, err)
		}
	}
	return one, nil
}

// Actions implements gateway.Actuator.
func (s *scene) Actions() []gateway.Action { return s.plan.actions() }

// Do implements gateway.Actuator. It is done if every step is, but for those whose
// failure is to be continued after. The values tell of each step that was reached.
func (s *scene) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	r, err := s.begin(cmd)
	if err != nil {
		return nil, err
	}
	if err := r.play(ctx); err != nil {
		return nil, err
	}
	return map[string]any{"steps": r.parts}, r.failure
}

// begin begins a run, or goes on with one that the last stop of the gateway has cut
// short.
func (s *scene) begin(cmd gateway.Command) (*run, error) {
	if cmd.Resumed {
		return s.resume(cmd)
	}
	end, err := s.end(cmd, s.plan.Within)
	if err != nil {
		return nil, err
	}
	r := &run{scene: s, cmd: cmd, until: end, end: end.Add(undoTime)}
	r.record = record{
		Command: cmd.ID, Plan: s.plan.hash(), Boot: s.opts.Clock.Boot(), Until: s.opts.Clock.Uptime() + time.Until(end),
	}
	if err := s.remember(r.record); err != nil {
		return nil, fmt.Errorf("nothing was done, since it could not be put on record: %w", err)
	}
	return r, nil
}

// resume goes on with a run within its time: if the board has not been started since,
// that is known exactly.
func (s *scene) resume(cmd gateway.Command) (*run, error) {
	known, err := s.recall(cmd)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(known.Until + undoTime - s.opts.Clock.Uptime())
	switch boot := s.opts.Clock.Boot(); {
	case boot == "" || boot != known.Boot:
		if end, err = s.end(cmd, s.plan.Within+undoTime); err != nil { // it may have come to undoing
			return nil, err
		}
	case !end.After(time.Now()):
		return nil, errTimeOver
	}
	return &run{scene: s, cmd: cmd, record: known, until: end.Add(-undoTime), end: end}, nil
}
