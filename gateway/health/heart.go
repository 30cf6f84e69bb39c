package health

import (
	"slices"
	"sync/atomic"
	"time"
)

// Heart is the sign of life of one worker. A worker beats each time it has
// got on with its work, or found that there is none; it does not beat from a
// timer of its own, since that would go on beating when the work is stuck.
type Heart struct {
	name       string
	maxSilence time.Duration
	last       atomic.Pointer[time.Time]
}

// Heart registers a worker that promises to beat at least every maxSilence.
func (b *Board) Heart(name string, maxSilence time.Duration) *Heart {
	h := &Heart{name: name + b.part, maxSilence: maxSilence}
	h.Beat()
	b.mu.Lock()
	b.hearts[h.name] = h
	b.mu.Unlock()
	return h
}

// Remove takes a worker that ended on purpose off the board.
func (b *Board) Remove(h *Heart) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hearts[h.name] == h {
		delete(b.hearts, h.name)
	}
}

// Beat says that the worker has made progress.
func (h *Heart) Beat() {
	now := time.Now()
	h.last.Store(&now)
}

// Stuck names the workers that have been silent for too long, in order. The
// monotonic clock decides, so that a step of the wall clock trips nothing.
func (b *Board) Stuck() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var stuck []string
	for _, h := range b.hearts {
		if time.Since(*h.last.Load()) > h.maxSilence {
			stuck = append(stuck, h.name)
		}
	}
	slices.Sort(stuck)
	return stuck
}
