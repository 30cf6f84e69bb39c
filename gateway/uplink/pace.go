package uplink

import (
	"context"
	"sync"
	"time"
)

// Pace is for what does not come from the queue but shares the line with it.
// It has a bucket of its own, which every byte on the line empties, whatever it
// is for: so two that wait for their buckets go by turns, one alone has the
// whole rate, and the rate holds for both together. A nil Pace never waits.
type Pace struct {
	mu    sync.Mutex
	pacer *pacer
}

// NewPace returns a Pace for a rate in bytes per second; for 0 it is nil.
func NewPace(rate int64, m *Meter) *Pace {
	if rate <= 0 {
		return nil
	}
	return &Pace{pacer: newPacer(rate, m)}
}

// Wait returns when a piece may go: a small one, since the next has to make up
// for it.
func (p *Pace) Wait(ctx context.Context) error {
	for p != nil {
		p.mu.Lock()
		pause := p.pacer.pause()
		p.mu.Unlock()
		if pause == 0 {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			break
		}
	}
	return ctx.Err()
}
