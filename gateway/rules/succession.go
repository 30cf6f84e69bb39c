package rules

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// Remains tells which devices of a target of the rules before, a device or a group,
// stay at work as they are; whole is that the target is the same, and all of them do.
type Remains func(target gateway.DeviceID) (devices []gateway.DeviceID, whole bool)

// succeed takes over what the engine of the config before knows. mu is held.
func (e *Engine) succeed(former *Engine, remains Remains) {
	former.mu.Lock()
	defer former.mu.Unlock()
	e.position, e.positioned, e.last = former.position, former.positioned, former.last
	heirs, targets := make(map[string]*live), make(map[gateway.DeviceID]bool)
	for _, l := range e.rules {
		heirs[l.ID] = l
		targets[l.target()] = true
	}
	for _, old := range former.rules {
		devices, whole := remains(old.target())
		if heir := heirs[old.ID]; heir != nil && heir.momentary() == old.momentary() {
			heir.inherit(old, whole)
		}
		if !old.moved() || targets[old.target()] {
			continue
		}
		for _, device := range devices {
			if !targets[device] { // else it is the business of another rule
				e.safe(device, fmt.Sprintf("rule %s, which has moved it, is not in the config any more", old.ID))
			}
		}
	}
}

// inherit takes over what is known of a rule, whose device is as it was or not.
func (l *live) inherit(old *live, same bool) {
	l.fired, l.missed, l.lastFired, l.lastMiss = old.fired, old.missed, old.lastFired, old.lastMiss
	l.announced, l.told = old.announced, old.told
	l.machine.on, l.since = old.machine.on, old.since
	l.machine.last, l.machine.begins, l.machine.suspended = old.machine.last, slices.Clone(old.machine.begins), old.machine.suspended
	for text := range l.done {
		if d, had := old.done[text]; had {
			l.done[text] = d
		}
	}
	if reflect.DeepEqual(l.Rule, old.Rule) {
		l.machine.holding = old.machine.holding
		pending := old.pending()
		if pending != nil {
			l.hand.give(pending)
		}
		if same || pending != nil {
			l.settled, l.ordered = old.settled, old.ordered
		}
		l.interval, l.inside, l.known, l.seen = old.interval, old.inside, old.known, slices.Clone(old.seen)
	}
}

// pending is the order of the rule that is still to be carried out; nil if there is none.
func (l *live) pending() *order {
	if l.hand == nil {
		return nil
	}
	return l.hand.current()
}

// target is the device that the rule moves; empty if none.
func (l *live) target() gateway.DeviceID {
	switch {
	case l.do != nil:
		return l.do.device
	case l.otherwise != nil:
		return l.otherwise.device
	default:
		return ""
	}
}

// moved tells whether the rule has moved its device and not made it safe again.
func (l *live) moved() bool { return l.settled == doing || l.settled == otherwise }
