package command

import (
	"context"
	"math/rand/v2"
	"time"
)

// The pauses between attempts to write to the journal.
const (
	minPause = 250 * time.Millisecond
	maxPause = 15 * time.Second
)

// backoff gives pauses that double; the upper half of each is random.
type backoff struct{ pause time.Duration }

// wait pauses and reports false if ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.pause = min(max(minPause, 2*b.pause), maxPause)
	timer := time.NewTimer(b.pause/2 + rand.N(b.pause/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
