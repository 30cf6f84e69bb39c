package gpioinput

import (
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
)

// settler follows an input that bounces: what it is counts once it has been
// still for a while, by the kernel's time of the edges.
type settler struct {
	still time.Duration
	// state is what has settled last.
	state bool
	// unrest is when the bouncing began that is under way; zero if all is still.
	unrest time.Time
	last   gpiochip.Edge
}

// edge takes the next edge. It reports whether the input had settled in another
// state before it, and with still zero, whether it has now.
func (s *settler) edge(e gpiochip.Edge) (changed bool) {
	if s.still == 0 {
		return s.settle(e.Active)
	}
	if !s.unrest.IsZero() && e.At.Sub(s.last.At) >= s.still {
		changed = s.settle(s.last.Active)
	}
	if s.unrest.IsZero() {
		s.unrest = e.At
	}
	s.last = e
	return changed
}

// seen takes what the input is at a time until which no further edge has come. It
// reports whether it has settled in another state. What no edge has told of yet
// has to be still first, too: it may be a spike, or the end of a pulse that has
// just lasted long enough.
func (s *settler) seen(level bool, now time.Time) (changed bool) {
	switch {
	case s.still == 0:
		return s.settle(level)
	case now.Before(s.due()):
		return false
	case !s.unrest.IsZero():
		was := s.last.Active
		if s.last.Seq == 0 { // that was no edge, but a look
			was = level
		}
		changed = s.settle(was)
	}
	if level != s.state {
		s.unrest, s.last = now, gpiochip.Edge{Active: level, At: now}
	}
	return changed
}

// due is when the input has settled if there is no further edge; zero if it has.
func (s *settler) due() time.Time {
	if s.unrest.IsZero() {
		return time.Time{}
	}
	return s.last.At.Add(s.still)
}

// settle notes that the input has settled. It reports whether that is a change.
func (s *settler) settle(state bool) (changed bool) {
	changed = state != s.state
	s.state, s.unrest = state, time.Time{}
	return changed
}
