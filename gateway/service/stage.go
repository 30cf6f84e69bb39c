package service

import (
	"context"
	"fmt"
	"sync"
)

// stage is a group of goroutines that start and stop together.
type stage struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	report func(error)
}

// newStage begins a stage that does not end with ctx, only with stop; report
// is told of each error that a goroutine ends with.
func newStage(ctx context.Context, name string, report func(error)) *stage {
	s := &stage{name: name, report: report}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// start runs f until stop.
func (s *stage) start(f func(context.Context) error) {
	s.wg.Go(func() {
		if err := f(s.ctx); err != nil {
			s.report(fmt.Errorf("%s: %w", s.name, err))
		}
	})
}

// stop ends the goroutines and waits for them.
func (s *stage) stop() {
	s.cancel()
	s.wg.Wait()
}
