package iothub

import (
	"math/rand/v2"
	"time"
)

// lease is how long a token may be used. Two clocks measure it: that of the
// wall, by which the hub judges, and that of this run of the program, which is
// never corrected.
type lease struct {
	made  time.Time // on the wall
	began time.Time // with its monotonic part
	life  time.Duration
	after time.Duration // age at which to renew
}

// newLease begins at 80 to 85 % of a token's life to ask for a new one, so that
// a fleet does not renew all at once.
func newLease(now time.Time, life time.Duration) lease {
	return lease{
		made: now.Round(0), began: time.Now(), life: life,
		after: life*80/100 + time.Duration(rand.Int64N(int64(life*5/100)+1)),
	}
}

func (l lease) expires() time.Time { return l.made.Add(l.life) }

// due reports whether the token should be replaced: by its age on either clock,
// or because the wall clock was set back so far that it is good for longer than
// it should be.
func (l lease) due(now time.Time, elapsed time.Duration) bool {
	age := now.Round(0).Sub(l.made)
	return elapsed >= l.after || age >= l.after || age < elapsed-l.life/10
}

// lookEvery is how often to ask whether it is due.
func (l lease) lookEvery() time.Duration {
	return max(min(l.life/50, 30*time.Second), time.Millisecond)
}
