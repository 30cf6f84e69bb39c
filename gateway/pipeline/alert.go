package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// AlertRule tells when a condition begins and when it ends, by one message
// each, in the lane alerts.
type AlertRule struct {
	ID    string        `yaml:"id" doc:"Name of the alert, unique with this device." required:"true" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" want:"up to 63 letters, digits, dots, underscores and hyphens" example:"too_hot"`
	When  string        `yaml:"when" doc:"The condition, written as in derive. While a quantity in it is bad or has never come, nothing begins and nothing ends." required:"true" example:"temperature > 35"`
	For   time.Duration `yaml:"for" doc:"It must have held for so long before the alert begins." default:"0s" max:"24h" example:"2m"`
	Until string        `yaml:"until" doc:"The alert lasts until this holds and when does not, so that a value about the limit is no alert each time. Left out: as long as when holds." example:"temperature < 33"`
	Text  string        `yaml:"text" doc:"What the message says to people." example:"The greenhouse is too hot."`
}

// maxAlertText bounds AlertRule.Text, and a textual value in an alert, in bytes.
const maxAlertText = 1000

// rule is an AlertRule at work.
type rule struct {
	AlertRule
	when, until *expression.Expression // until may be nil
	inputs      []string               // of both
}

// watch is the state of a rule for one device.
type watch struct {
	active bool
	// since is when the condition began to hold, for a rule that wants it to hold
	// for a while; zero if it does not. unsure suspends it.
	since  time.Time
	unsure bool
}

func rules(all []AlertRule, f *faults) (compiled []rule) {
	seen := make(map[string]bool)
	for i, a := range all {
		field := fmt.Sprintf("alerts[%d]", i)
		if seen[a.ID] {
			f.add(field+".id", "%q is the id of another alert of this device; want a unique one", a.ID)
		}
		seen[a.ID] = true
		if len(a.Text) > maxAlertText {
			f.add(field+".text", "has %d bytes; want at most %d", len(a.Text), maxAlertText)
		}
		r := rule{AlertRule: a, when: condition(a.When, f, field+".when")}
		if a.Until != "" {
			r.until = condition(a.Until, f, field+".until")
		}
		for _, e := range []*expression.Expression{r.when, r.until} {
			if e != nil {
				r.inputs = append(r.inputs, e.Inputs...)
			}
		}
		slices.Sort(r.inputs)
		r.inputs = slices.Compact(r.inputs)
		compiled = append(compiled, r)
	}
	return compiled
}

// condition compiles one; nil if it is faulty.
func condition(text string, f *faults, field string) *expression.Expression {
	e, err := expression.Condition(text, nil)
	switch {
	case err != nil:
		f.add(field, "%v", err)
		return nil
	case len(e.Inputs) == 0:
		f.add(field, "names no quantity, so that it would never change")
		return nil
	}
	return e
}

// judge follows the condition through what is fresh in a scope, and tells
// whether the alert has begun or ended.
func (r *rule) judge(s *scope, w *watch, now time.Time, machine *expression.Machine, p *problems) (changed bool) {
	deciding, inputs := r.when, r.when.Inputs
	if w.active && r.until != nil {
		deciding, inputs = r.until, r.inputs
	}
	if !s.isFresh(inputs) {
		return false
	}
	holds, sure := r.test(deciding, s, now, machine, p)
	if w.unsure = !sure; w.unsure {
		return false
	}
	if holds && deciding == r.until {
		begins, _ := r.test(r.when, s, now, machine, p)
		holds = !begins // else it would begin anew with the next reading, and so on
	}
	return w.step(r, holds, now)
}

// test tells whether a condition holds, if that is sure.
func (r *rule) test(e *expression.Expression, s *scope, now time.Time, machine *expression.Machine, p *problems) (holds, sure bool) {
	quality, _, complete := s.state(e.Inputs, now, 0)
	if !complete || quality == gateway.Bad {
		return false, false
	}
	result, err := e.Run(machine, s.values)
	holds, sure = result.(bool)
	if err == nil && !sure {
		err = fmt.Errorf("the result is %v; want true or false", result)
	}
	if err != nil {
		p.note("alerts["+r.ID+"]", err.Error(), now)
		return false, false
	}
	return holds, true
}

// step takes what the deciding condition says.
func (w *watch) step(r *rule, holds bool, now time.Time) (changed bool) {
	switch {
	case w.active:
		if ended := holds == (r.until != nil); ended {
			*w = watch{}
			return true
		}
		return false
	case !holds:
		w.since = time.Time{}
		return false
	case w.since.IsZero():
		w.since = now
	}
	return w.tick(r, now)
}

// due is when the alert begins if nothing changes; zero is never.
func (w *watch) due(r *rule) time.Time {
	if w.active || w.unsure || w.since.IsZero() {
		return time.Time{}
	}
	return w.since.Add(r.For)
}

// tick begins the alert if its condition has held for long enough.
func (w *watch) tick(r *rule, now time.Time) (changed bool) {
	due := w.due(r)
	if due.IsZero() || now.Before(due) {
		return false
	}
	w.active = true
	return true
}

// tell makes the alert that reports a change. Its time is filled in by the sink.
func (r *rule) tell(s *scope, active bool) gateway.Alert {
	a := gateway.Alert{Device: s.device, ID: r.ID, Active: active, Text: r.Text, Values: make(map[string]gateway.Value)}
	for _, name := range r.inputs {
		in := s.inputs[name]
		if in == nil {
			continue
		}
		v := in.Value
		if text, ok := v.Text(); ok && len(text) > maxAlertText {
			v = gateway.Text(strings.ToValidUTF8(text[:maxAlertText], ""))
		}
		a.Values[name] = v
	}
	return a
}
