package pipeline

import (
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// calculator is the step of a Chain that expressions are for.
type calculator struct {
	derive []derivation // in the order in which they need each other
	rules  []rule
	inputs map[string]bool // what expressions name
	scopes map[gateway.DeviceID]*scope
	order  []*scope // by first arrival
	// touched are the scopes with something fresh.
	touched []*scope
	machine expression.Machine
	told    []gateway.Alert
	soonest time.Time // when an alert may begin although nothing comes
}

func newCalculator(p *Processing, f *faults) calculator {
	c := calculator{
		derive: derivations(p.Derive, f), rules: rules(p.Alerts, f),
		inputs: make(map[string]bool), scopes: make(map[gateway.DeviceID]*scope),
	}
	for _, d := range c.derive {
		c.name(d.Inputs)
	}
	for _, r := range c.rules {
		c.name(r.inputs)
	}
	return c
}

func (c *calculator) name(inputs []string) {
	for _, name := range inputs {
		c.inputs[name] = true
	}
}

// scopeOf is where a reading belongs, nil if no expression names it.
func (c *calculator) scopeOf(r *gateway.Reading, now time.Time, p *problems) *scope {
	if slices.ContainsFunc(c.derive, func(d derivation) bool { return d.name == r.Name }) {
		p.note("derive."+r.Name, "the device has a quantity of this name itself; want another name", now)
		return nil
	}
	if !c.inputs[r.Name] {
		return nil
	}
	s := c.scope(r.Device)
	if s == nil {
		p.note("derive", fmt.Sprintf("readings of more than %d devices come from this one; nothing is derived, and no alert told, for those beyond", maxScopes), now)
	}
	return s
}

// scope is that of a device, made if there is none; nil if there are too many.
func (c *calculator) scope(device gateway.DeviceID) *scope {
	s := c.scopes[device]
	if s == nil && len(c.order) < maxScopes {
		s = newScope(device, len(c.rules))
		c.scopes[device] = s
		c.order = append(c.order, s)
	}
	return s
}

// resume takes up alerts that have begun, and ends those without a rule.
func (c *calculator) resume(told []alertKey) {
	for _, key := range told {
		i := slices.IndexFunc(c.rules, func(r rule) bool { return r.ID == key.ID })
		s := c.scope(key.Device)
		switch {
		case i < 0:
			c.told = append(c.told, gateway.Alert{Device: key.Device, ID: key.ID, Values: map[string]gateway.Value{}})
		case s != nil:
			s.watches[i].active = true
		}
	}
}

// put gives a scope a reading to calculate with.
func (c *calculator) put(s *scope, r *gateway.Reading, now time.Time) {
	s.put(r, now)
	if !slices.Contains(c.touched, s) {
		c.touched = append(c.touched, s)
	}
}

// watch follows the rules through what is fresh in a scope.
func (c *calculator) watch(s *scope, now time.Time, p *problems) {
	for i := range c.rules {
		r, w := &c.rules[i], &s.watches[i]
		if r.judge(s, w, now, &c.machine, p) {
			c.told = append(c.told, r.tell(s, w.active))
		}
		c.soonest = sooner(c.soonest, w.due(r))
	}
}

// tick begins the alerts whose condition has held for long enough.
func (c *calculator) tick(now time.Time) {
	if c.soonest.IsZero() || now.Before(c.soonest) {
		return
	}
	c.soonest = time.Time{}
	for _, s := range c.order {
		for i := range c.rules {
			r, w := &c.rules[i], &s.watches[i]
			if w.tick(r, now) {
				c.told = append(c.told, r.tell(s, true))
			}
			c.soonest = sooner(c.soonest, w.due(r))
		}
	}
}

func (c *calculator) active() (list []gateway.Alert) {
	for _, s := range c.order {
		for i := range c.rules {
			if s.watches[i].active {
				list = append(list, c.rules[i].tell(s, true))
			}
		}
	}
	return list
}
