package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// SetProcessing changes what is done with the readings, at once or when Run begins.
// What windows and rate limits hold is handed on first. An error leaves everything
// as it was; it has a gateway.FieldError for each fault.
func (p *Poller) SetProcessing(to Processing) error { return p.sink.setProcessing(to) }

// SetProcessing does what that of a Poller does.
func (r *Runner) SetProcessing(to Processing) error { return r.sink.setProcessing(to) }

// setProcessing goes on by another chain. mu keeps every reading on one side of the
// change, and what the old chain held ahead of what comes through the new one.
func (s *deviceSink) setProcessing(to Processing) error {
	next, err := newChainFor(s.id, to, s.alerts)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running { // there is nothing to take over yet, or nothing to do any more
		s.chain = next
		return nil
	}
	now := time.Now()
	s.push(s.chain.Stop(now))
	next.succeed(s.chain, s.device.snapshot().Latest, now)
	s.chain = next
	s.push(nil)
	s.report(now)
	s.arm()
	return nil
}

// newChainFor makes the chain of a device whose alerts go to somebody, perhaps nil.
func newChainFor(device gateway.DeviceID, p Processing, alerts Alerter) (*Chain, error) {
	chain, err := NewChain(p)
	if err != nil {
		return nil, fmt.Errorf("pipeline: device %s: %w", device, err)
	}
	if len(p.Alerts) > 0 && alerts == nil {
		return nil, fmt.Errorf("pipeline: device %s has alerts, and nobody takes them", device)
	}
	return chain, nil
}

// succeed takes over from a chain that was stopped: its counts, what the receiver
// has, and its alerts. Latest are the latest readings of the device, for conditions
// that nobody has asked for before: they are judged at once.
func (c *Chain) succeed(old *Chain, latest []gateway.Reading, now time.Time) {
	c.stats = old.stats
	for key, last := range old.gate.sent {
		if _, found := c.gate.bands[key.name]; found {
			c.gate.sent[key] = last
		}
	}
	for _, r := range latest {
		delete(c.names.wanted, r.Name) // it is known to come
	}
	c.problems.changed = true // what the old one has noted may be over
	c.calculate.succeed(&old.calculate, latest, now, &c.problems)
}

// succeed goes on where another calculator was, with other rules.
func (c *calculator) succeed(old *calculator, latest []gateway.Reading, now time.Time, p *problems) {
	for _, before := range old.order {
		s := c.scope(before.device) // there is room: the other had as much
		for name, in := range before.inputs {
			if c.inputs[name] { // the others would grow old here
				s.inputs[name], s.values[name] = in, before.values[name]
			}
		}
		for i, w := range before.watches {
			c.follow(s, &old.rules[i], w)
		}
	}
	for _, r := range latest {
		s := c.scope(r.Device)
		if s == nil || !c.inputs[r.Name] || s.inputs[r.Name] != nil || !isFinite(&r) {
			continue
		}
		s.put(&r, time.Time{}) // when it came is not known: nothing is derived from it
	}
	for _, s := range c.order {
		s.fresh = slices.Collect(maps.Keys(s.inputs))
		c.watch(s, now, p)
		s.fresh = s.fresh[:0]
	}
}

// follow goes on with an alert. One whose rule is gone has ended; one with another
// condition stands until that says otherwise.
func (c *calculator) follow(s *scope, was *rule, w watch) {
	i := slices.IndexFunc(c.rules, func(r rule) bool { return r.ID == was.ID })
	switch {
	case i < 0 && w.active:
		c.told = append(c.told, was.tell(s, false))
	case i < 0:
	case c.rules[i].When == was.When:
		s.watches[i] = w
	default:
		s.watches[i].active = w.active
	}
}
