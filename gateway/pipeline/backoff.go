package pipeline

import (
	"math/rand/v2"
	"time"
)

// backoff gives the pauses between attempts: they double from min to max, and
// the upper half of each is random.
type backoff struct {
	min, max time.Duration
	pause    time.Duration
}

func (b *backoff) reset() { b.pause = 0 }

func (b *backoff) next() time.Duration {
	b.pause = min(max(b.min, 2*b.pause), b.max)
	return b.pause/2 + rand.N(b.pause/2+1)
}
