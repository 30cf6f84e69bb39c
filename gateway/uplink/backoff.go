package uplink

import (
	"math/rand/v2"
	"time"
)

// backoff gives the pauses between attempts: full jitter below a ceiling that
// doubles, so that a fleet does not come back all at once.
type backoff struct {
	min, max time.Duration
	ceiling  time.Duration
}

func (b *backoff) reset() { b.ceiling = 0 }

// next is the pause after one more failure.
func (b *backoff) next() time.Duration {
	b.ceiling = min(max(b.min, 2*b.ceiling), b.max)
	return max(between(0, b.ceiling), b.min/10) // never a busy loop
}

// slow is the pause after a refusal: the upper half of the longest ceiling.
func (b *backoff) slow() time.Duration {
	b.ceiling = b.max
	return between(b.max/2, b.max)
}

func between(low, high time.Duration) time.Duration {
	return low + time.Duration(rand.Int64N(int64(high-low)+1))
}
