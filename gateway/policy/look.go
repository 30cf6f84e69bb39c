package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// look takes those to their safe state that must not go on, and says when to look
// again at the latest.
func (p *Policy) look(now time.Time) (next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.overrides.expire(now)
	next = sooner(now.Add(lookEvery), p.overrides.next())
	for _, id := range p.ids {
		d := p.devices[id]
		p.track(d, now)
		if d.securing != nil || d.Safer == nil {
			continue
		}
		why, again := p.due(d, now)
		if why != nil {
			p.secure(d, *why, now)
		}
		next = sooner(next, again)
	}
	return next
}

// due says why a device has to take its safe state now; else nil, and when that
// may change by itself. One that is not there is made safe when it is found. mu is
// held.
func (p *Policy) due(d *device, now time.Time) (why *reason, next time.Time) {
	if d.owed != nil {
		switch {
		case d.state() == nil:
			return nil, next
		case rests(d.state(), d.rest) && d.underway == nil:
			p.report(d, *d.owed, nil)
			d.owed = nil
		case !now.Before(d.retry):
			return d.owed, next
		default:
			return nil, d.retry
		}
	}
	if d.state() == nil || !d.away() || d.underway != nil && d.underway.stopped != nil {
		p.settle(d, now)
		return nil, next
	}
	if d.interlock != nil {
		if ok, unmet := p.holds(d, now, nil); !ok {
			return &reason{text: fmt.Sprintf("%s, and it needs `%s` (only_while)", unmet, d.interlock.text), cause: causeOnlyWhile, at: now, passing: true}, next
		}
		next = sooner(next, p.expires(d))
	}
	alone, again := p.alone(d, now)
	if alone != nil {
		return alone, next
	}
	if over := d.times.over(d.Config); !over.IsZero() {
		if !now.Before(over) {
			return &reason{text: fmt.Sprintf("it has been on for %v (max_on)", d.Config.MaxOn), cause: causeMaxOn, at: now, routine: true}, next
		}
		next = sooner(next, over)
	}
	return nil, sooner(next, again)
}

// alone says that a device has been left alone for too long.
func (p *Policy) alone(d *device, now time.Time) (why *reason, next time.Time) {
	after := d.Config.SafeAfter
	if after.Silence > 0 {
		if end := d.command.Add(after.Silence); now.Before(end) {
			next = end
		} else {
			return &reason{text: fmt.Sprintf("no command has come for it for %v (safe_after.silence)", after.Silence), cause: causeSilence, at: now}, next
		}
	}
	if after.LinkLost > 0 {
		last := d.linked
		if d.connected {
			last = last.Add(linkLasts)
		}
		if d.command.After(last) {
			last = d.command
		}
		end := last.Add(after.LinkLost)
		if !now.Before(end) {
			return &reason{text: fmt.Sprintf("there has been no session with the hub for %v (safe_after.link_lost)", after.LinkLost), cause: causeLinkLost, at: now}, next
		}
		next = sooner(next, end)
	}
	return nil, next
}

// askUntil asks now and then whether there is a session for those that go by it. Who
// answers may be held up, by a log that is full for example; that must hold up no safe
// state, so it is asked here and not when one is due.
func (p *Policy) askUntil(over <-chan struct{}) {
	linked := slices.DeleteFunc(slices.Clone(p.ids), func(id gateway.DeviceID) bool {
		return p.devices[id].Config.SafeAfter.LinkLost == 0
	})
	if len(linked) == 0 {
		return
	}
	tick := time.NewTicker(linkEvery)
	defer tick.Stop()
	for {
		for _, id := range linked {
			p.answered(p.devices[id], p.opts.Connected(id), time.Now())
		}
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// answered takes note of whether there is a session for a device.
func (p *Policy) answered(d *device, connected bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if connected {
		d.linked = now
	}
	if connected != d.connected {
		d.connected = connected
		p.Changed()
	}
}

// settle ends the condition of a device that was made safe, once what it was made
// safe for is over.
func (p *Policy) settle(d *device, now time.Time) {
	if d.made == nil || !d.made.passing || d.interlock == nil {
		return
	}
	if ok, _ := p.holds(d, now, nil); ok && !d.made.over {
		d.made.over = true
		p.clear(d)
	}
}
