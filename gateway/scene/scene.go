package scene

import (
	"context"
	"fmt"

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
	r := &run{scene: s, cmd: cmd}
	whole := s.plan.Within
	if cmd.Resumed {
		whole += undoTime // it may have come to that
	}
	end, err := s.end(cmd, whole)
	if err != nil {
		return nil, err
	}
	r.until, r.end = end, end.Add(undoTime)
	if cmd.Resumed {
		r.until, r.end = end.Add(-undoTime), end
		r.record, err = s.recall(cmd)
		return r, err
	}
	r.record = record{Command: cmd.ID, Plan: s.plan.hash()}
	if err := s.remember(r.record); err != nil {
		return nil, fmt.Errorf("nothing was done, since it could not be put on record: %w", err)
	}
	return r, nil
}
