package policy

import (
	"fmt"
	"time"
)

// output is the name of the output whose times are watched.
const output = "on"

// times are those of the output on.
type times struct {
	// on is what the output is, or was when it was known last.
	known, on bool
	// since is when it has become what it is, at the latest, or when that was not known
	// any more; from, when it has become that, at the earliest.
	since, from time.Time
}

// see takes note of what the output is. While a command is under way, that has
// changed it, as early as it began.
func (t *times) see(now state, underway *permit, at time.Time) {
	on, known := now[output].Bool()
	if known != t.known || known && on != t.on {
		t.since = at
	}
	if known && (t.from.IsZero() || on != t.on) {
		t.from = at
		if underway != nil {
			t.from = underway.began
		}
	}
	if t.known = known; known {
		t.on = on
	}
}

// tooSoon says that a command comes too soon after the last change; empty if it
// does not. What is not known may have changed when it was not known any more; one
// that cannot be reached is off from when it is found.
func (d *device) tooSoon(permit *permit, now time.Time) string {
	t, c := d.times, d.Config
	after, set := permit.after[output].Bool()
	if after = after || permit.momentary; !set || t.known && after == t.on {
		return ""
	}
	least, rule, is := c.MinOff, "min_off", "off"
	if !after {
		least, rule, is = c.MinOn, "min_on", "on"
	}
	if !t.known {
		is = "in an unknown state"
	}
	lasted := now.Sub(t.since)
	switch {
	case after && least > 0 && d.state() == nil:
		return fmt.Sprintf("%s cannot be reached, and %s (%v) counts from when it is found again; see to it", d.ID, rule, least)
	case lasted >= least:
		return ""
	}
	return fmt.Sprintf("it has been %s for %v, %s is %v; try again in %v", is, lasted.Truncate(time.Second), rule, least, atLeast(least-lasted))
}

// over is when the output must not be on any longer; zero if never.
func (t *times) over(c Terms) time.Time {
	if c.MaxOn == 0 || !t.on {
		return time.Time{}
	}
	return t.from.Add(c.MaxOn)
}

// bucket counts the commands of a Budget: it fills evenly, up to count.
type bucket struct {
	tokens float64
	at     time.Time
}

func newBucket(b *Budget, now time.Time) bucket {
	if b == nil {
		return bucket{}
	}
	return bucket{tokens: float64(b.Count), at: now}
}

// take takes a token, and reports whether there was one, or none was needed.
func (k *bucket) take(b *Budget, needed bool, now time.Time) bool {
	if b == nil {
		return true
	}
	k.tokens = min(float64(b.Count), k.tokens+now.Sub(k.at).Seconds()/b.Per.Seconds()*float64(b.Count))
	k.at = now
	if k.tokens < 1 {
		return !needed
	}
	k.tokens--
	return true
}

// wait is how long it is until the next token.
func (k *bucket) wait(b *Budget) time.Duration {
	return time.Duration((1 - k.tokens) / float64(b.Count) * float64(b.Per))
}

// inherit takes over what is left in another bucket; a new Budget begins anew.
func (k *bucket) inherit(old bucket) {
	if !old.at.IsZero() && !k.at.IsZero() {
		k.tokens, k.at = min(k.tokens, old.tokens), old.at
	}
}
