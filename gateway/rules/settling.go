package rules

import (
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// settle has the device follow the rule: at a change, and once it is known what the
// rule says after a start or a silence.
func (e *Engine) settle(l *live, c change) {
	switch {
	case l.hand == nil:
	case l.silent:
		e.makeSafe(l)
	case l.why != "":
	case l.machine.on && (c == began || l.settled != doing && e.repeatable(l.do)):
		l.settled = doing
		e.order(l, l.do, "", time.Time{})
	case !l.machine.on && (c == ended || l.settled != otherwise && e.repeatable(l.otherwise)):
		l.settled = otherwise
		e.order(l, l.otherwise, "", time.Time{})
	}
}

// makeSafe does what is to be done when a rule is silent, if it has moved anything.
func (e *Engine) makeSafe(l *live) {
	switch {
	case !l.moved():
	case l.IfSilent == silentOtherwise && l.settled == doing:
		l.settled = otherwise
		e.order(l, l.otherwise, "", time.Time{})
	case l.IfSilent == silentSafe:
		_, _, idle := l.hand.state()
		l.hand.give(nil) // what it has not done yet is not to be done any more
		l.settled = neither
		if idle && e.opts.Safety.Resting(l.target()) || e.safe(l.target(), fmt.Sprintf("rule %s goes by what is not known: %s", l.ID, l.why)) {
			l.settled = safe
		}
	}
}

// safe has a device take its safe state, and reports whether it has one.
func (e *Engine) safe(device gateway.DeviceID, why string) bool {
	err := e.opts.Safety.Safe(device, why)
	switch {
	case errors.Is(err, gateway.ErrUnknown):
		e.log.Warn("a device that a rule has moved has no safe state, and is left as it is", "device", device, "reason", why)
	case err != nil:
		e.log.Error("a device that a rule has moved does not take its safe state", "device", device, "reason", why, "error", err)
	}
	return err == nil
}

// again repeats the command of a rule that lasts. due is when it is to be repeated.
func (e *Engine) again(l *live, p *present) (due time.Time) {
	if l.Repeat == 0 || !l.machine.on || l.settled != doing || l.why != "" {
		return time.Time{}
	}
	if due = l.ordered.Add(l.Repeat); p.now.Before(due) {
		return due
	}
	if _, _, idle := l.hand.state(); idle {
		e.order(l, l.do, "", time.Time{})
	}
	return p.now.Add(l.Repeat)
}

// order gives a command to the hand of a rule; none at all (nil) takes the one before
// back, if it has not succeeded yet. occurrence is the moment for which it is; empty if
// that is now.
func (e *Engine) order(l *live, c *command, occurrence string, until time.Time) {
	if c == nil {
		l.hand.give(nil)
		return
	}
	l.ordered = time.Now()
	if occurrence == "" {
		e.last = max(e.last+1, e.opts.Clock.Uptime().Milliseconds())
		occurrence = fmt.Sprintf("%s-%d", e.run, e.last)
	}
	l.hand.give(&order{
		command: c, id: fmt.Sprintf("rule-%s-%s", l.ID, occurrence), repeatable: e.repeatable(c), until: until, attempt: 1,
	})
}

// repeatable tells whether a command may be given again although it may have been
// carried out.
func (e *Engine) repeatable(c *command) bool {
	if c == nil {
		return false
	}
	for _, a := range e.opts.Actions(c.device) {
		if a.Name == c.action {
			return a.Idempotent
		}
	}
	return false
}
