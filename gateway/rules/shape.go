package rules

import (
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// faults are gateway.FieldErrors.
type faults struct{ list []error }

func (f *faults) add(field, format string, args ...any) {
	f.list = append(f.list, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (f *faults) err() error { return errors.Join(f.list...) }

// shape finds keys that are missing, and such as would have no effect beside the
// others.
func (c *compiler) shape(r *Rule) {
	c.kind(r)
	if len(r.Alert) > maxAlertText {
		c.fault("alert", "has %d bytes; want at most %d", len(r.Alert), maxAlertText)
	}
	for _, idle := range idleKeys(r) {
		if idle.given {
			c.fault(idle.key, "has no effect %s; leave it out", idle.why)
		}
	}
	if r.Do != nil && r.Otherwise != nil && r.Do.Device != r.Otherwise.Device {
		c.fault("otherwise.device", "is %q, and do has %q; want the same device, or a rule of its own", r.Otherwise.Device, r.Do.Device)
	}
	if r.IfSilent == silentOtherwise && r.Otherwise == nil {
		c.fault("if_silent", "is otherwise, and there is no otherwise; want one, or safe or keep")
	}
}

// kind finds that it is not clear when a rule is to act, or that it does nothing.
func (c *compiler) kind(r *Rule) {
	switch {
	case r.When == "" && r.Between == "" && !r.momentary():
		c.fault("", "never begins; want when or between, or at or every")
	case len(r.At) > 0 && r.Every > 0:
		c.fault("every", "has no place beside at; want one of them")
	case len(r.At) > 0 && r.Between != "":
		c.fault("between", "has no place beside at; want a time within it there, or every")
	case r.momentary() && r.Do == nil:
		c.fault("", "does nothing; want do")
	case r.Do == nil && r.Otherwise == nil && r.Alert == "":
		c.fault("", "does nothing; want do or alert")
	}
}

type idleKey struct {
	key   string
	given bool
	why   string
}

// idleKeys are those that have no effect, if they are given.
func idleKeys(r *Rule) (idle []idleKey) {
	if r.momentary() {
		const why = "beside at and every, which are moments"
		idle = append(
			idle, idleKey{"for", r.For > 0, why}, idleKey{"until", r.Until != "", why}, idleKey{"otherwise", r.Otherwise != nil, why},
			idleKey{"alert", r.Alert != "", why}, idleKey{"repeat", r.Repeat > 0, why}, idleKey{"if_silent", r.IfSilent != "", why},
			idleKey{"min_interval", r.MinInterval > 0, why}, idleKey{"max_per_minute", r.MaxPerMinute > 0, why},
		)
	}
	if len(r.At) == 0 {
		idle = append(idle, idleKey{"catch_up", r.CatchUp > 0, "without at"})
	}
	if r.When == "" && !r.momentary() {
		idle = append(idle, idleKey{"until", r.Until != "", "without when"}, idleKey{"for", r.For > 0, "without when"})
	}
	if r.When == "" {
		idle = append(idle, idleKey{"max_age", r.MaxAge > 0 && (r.momentary() || r.Between == ""), "without when"})
	}
	if r.Do == nil && !r.momentary() {
		idle = append(idle, idleKey{"repeat", r.Repeat > 0, "without do"}, idleKey{"if_silent", r.IfSilent != "" && r.Otherwise == nil, "without do"})
	}
	return idle
}
