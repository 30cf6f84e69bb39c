package rules

import (
	"strings"
	"time"
)

// State of a rule.
type State string

const (
	// Off is that the rule has not begun, or has ended.
	Off State = "off"
	// Pending is that its condition holds, but not for long enough.
	Pending State = "pending"
	// On is that it has begun.
	On State = "on"
	// Suspended is that it has begun too often.
	Suspended State = "suspended"
	// Scheduled is that it waits for its next moment.
	Scheduled State = "scheduled"
)

// Status is how a rule does.
type Status struct {
	ID string `json:"id"`
	// Rule says in words when it is to act.
	Rule  string `json:"rule"`
	State State  `json:"state"`
	// Since is when the state was entered, or of one with moments when the last one
	// was.
	Since time.Time `json:"since,omitzero"`
	// Unknown says why it is not known what the rule says; empty if it is.
	Unknown string `json:"unknown,omitempty"`
	// Next is when something happens by the clock; zero if that is not known.
	Next time.Time `json:"next,omitzero"`
	// Fired counts the beginnings, or moments, since the start of the gateway.
	Fired     uint64    `json:"fired"`
	LastFired time.Time `json:"last_fired,omitzero"`
	// Missed counts moments that were not kept, and LastMissed says which was the
	// last, and why.
	Missed     uint64 `json:"missed,omitempty"`
	LastMissed string `json:"last_missed,omitempty"`
	// Last is what has become of its last command; nil if there was none.
	Last *Report `json:"last,omitempty"`
	// Problem says what is wrong; empty if nothing.
	Problem string `json:"problem,omitempty"`
}

// Status is that of all rules, in the order of the config. Its times are those of
// the moment at which they were taken, with their monotonic parts.
func (e *Engine) Status() []Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Status, 0, len(e.rules))
	for _, l := range e.rules {
		list = append(list, l.status(time.Now()))
	}
	return list
}

func (l *live) status(now time.Time) Status {
	s := Status{
		ID: l.ID, Rule: l.inWords(), State: l.state(now), Since: l.since, Unknown: l.why, Next: l.next,
		Fired: l.fired, LastFired: l.lastFired, Missed: l.missed, LastMissed: l.lastMiss,
	}
	if l.hand != nil {
		s.Last, _, _ = l.hand.state()
	}
	if l.Every > 0 && l.inside == yes {
		s.Next = l.interval
	}
	s.Problem, _ = l.trouble(now)
	return s
}

func (l *live) state(now time.Time) State {
	switch {
	case l.machine.isSuspended(now):
		return Suspended
	case l.momentary():
		return Scheduled
	case l.machine.on:
		return On
	case !l.machine.holding.IsZero():
		return Pending
	default:
		return Off
	}
}

// inWords says when a rule is to act, in the words of the config.
func (r *rule) inWords() string {
	var parts []string
	say := func(word, what string) {
		if what != "" {
			parts = append(parts, strings.TrimSpace(word+" "+what))
		}
	}
	say("at", strings.Join(r.At, ", "))
	say("every", span(r.Every))
	say("when", r.When)
	say("for", span(r.For))
	say("until", r.Until)
	say("between", r.Between)
	say("on", strings.Join(r.Days, ", "))
	return strings.Join(parts, " ")
}

// span is a duration as the config has it; empty for none.
func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}
