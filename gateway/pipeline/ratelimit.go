package pipeline

import (
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// limiter is the last step of a Chain. A reading that comes too soon is held
// until its time, and replaced by the next one: the receiver has the latest
// value soon after, whatever has happened meanwhile.
type limiter struct {
	every   map[string]time.Duration
	tracks  map[readingKey]*limited
	order   []*limited // by first arrival
	soonest time.Time
	held    int
}

// limited is one quantity.
type limited struct {
	every time.Duration
	free  time.Time // from when on the next may go
	holds bool
	held  gateway.Reading
}

// pass tells whether a reading may go now, and whether another has lost its
// place because of it.
func (l *limiter) pass(r *gateway.Reading, now time.Time) (pass, replaced bool) {
	every, found := l.every[r.Name]
	if !found {
		return true, false
	}
	key := readingKey{r.Device, r.Name}
	t := l.tracks[key]
	if t == nil {
		if len(l.order) >= maxTracked {
			return true, false
		}
		t = &limited{every: every}
		l.tracks[key] = t
		l.order = append(l.order, t)
	}
	replaced = t.holds
	if !now.Before(t.free) {
		l.take(t)
		t.free = now.Add(t.every)
		return true, replaced
	}
	if !t.holds {
		t.holds = true
		l.held++
		l.soonest = sooner(l.soonest, t.free)
	}
	t.held = *r
	return false, replaced
}

// take empties a track.
func (l *limiter) take(t *limited) gateway.Reading {
	r := t.held
	if t.holds {
		l.held--
	}
	t.holds, t.held = false, gateway.Reading{}
	return r
}

// tick appends the readings whose time has come to out.
func (l *limiter) tick(now time.Time, out []gateway.Reading) []gateway.Reading {
	if l.soonest.IsZero() || now.Before(l.soonest) {
		return out
	}
	l.soonest = time.Time{}
	for _, t := range l.order {
		if t.holds && !now.Before(t.free) {
			out = append(out, l.take(t))
			t.free = now.Add(t.every)
		}
		if t.holds {
			l.soonest = sooner(l.soonest, t.free)
		}
	}
	return out
}

// stop appends all that is held to out.
func (l *limiter) stop(out []gateway.Reading) []gateway.Reading {
	l.soonest = time.Time{}
	for _, t := range l.order {
		if t.holds {
			out = append(out, l.take(t))
		}
	}
	return out
}
