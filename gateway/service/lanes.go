package service

import (
	"context"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// lanes has the batcher of each lane in use. They work from the time that they are
// first asked for until the stop, whatever becomes of the devices.
type lanes struct {
	common pipeline.BatcherOptions
	stage  *stage

	mu       sync.Mutex
	batchers map[gateway.Lane]*pipeline.Batcher
}

func (s *Service) newLanes(ctx context.Context, c BatchConfig) *lanes {
	return &lanes{
		common: pipeline.BatcherOptions{
			Queue: s.queue, Clock: s.clock, Boot: s.clock.Boot(), Log: s.log, Health: s.health,
			MaxBytes: int(c.MaxBytes), MaxAge: c.MaxAge, Thinning: s.meter.Thinning,
		},
		stage: newStage(ctx, "batches", s.fail), batchers: make(map[gateway.Lane]*pipeline.Batcher),
	}
}

// of is the batcher of a lane, made and started if there is none yet.
func (l *lanes) of(lane gateway.Lane) (*pipeline.Batcher, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.batchers[lane]; b != nil {
		return b, nil
	}
	o := l.common
	o.Lane = lane
	b, err := pipeline.NewBatcher(o)
	if err != nil {
		return nil, err
	}
	l.batchers[lane] = b
	l.stage.start(b.Run)
	return b, nil
}

// alerts is where alerts go.
func (l *lanes) alerts() (*pipeline.Batcher, error) { return l.of(gateway.LaneAlerts) }

// setBounds changes the bounds of messages.
func (l *lanes) setBounds(c BatchConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.common.MaxBytes, l.common.MaxAge = int(c.MaxBytes), c.MaxAge
	for _, b := range l.batchers {
		b.SetBounds(l.common.MaxBytes, l.common.MaxAge)
	}
}

// stop hands over what the batchers hold.
func (l *lanes) stop() { l.stage.stop() }
