package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// turns lets commands begin, unless a change of the devices holds them back.
type turns struct {
	mu sync.Mutex
	// released is closed when they may begin again; nil if they may now.
	released chan struct{}
	running  map[*worker]*turn
	// idle is closed when none runs any more, if somebody waits for that.
	idle chan struct{}
}

// turn is a command that is being carried out.
type turn struct {
	ctx context.Context
	// stop ends it early, if there is a cause on somebody's order.
	stop   context.CancelCauseFunc
	yields yields
}

// yields is whether a command makes way for a change of the devices: it is cut short
// and taken up again.
type yields int

const (
	never  yields = iota
	late          // repeated, so that it had better end by itself
	gladly        // goes on where it was, and may wait for others that are held back
)

// begin gives a worker its turn; nil if it has to wait for the channel.
func (t *turns) begin(work context.Context, w *worker) (*turn, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.released != nil {
		return nil, t.released
	}
	one := &turn{}
	one.ctx, one.stop = context.WithCancelCause(work)
	t.running[w] = one
	return one, nil
}

// yield notes how what a turn is for makes way.
func (t *turns) yield(one *turn, action gateway.Action) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case action.Resumable && t.released != nil: // it is too late to begin it
		one.stop(nil)
	case action.Resumable:
		one.yields = gladly
	case action.Idempotent:
		one.yields = late
	}
}

// cut cuts those short that make way by now.
func (t *turns) cut(how yields) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.running {
		if one.yields >= how {
			one.stop(nil)
		}
	}
}

func (t *turns) end(w *worker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running[w].stop(nil)
	delete(t.running, w)
	if t.idle != nil && len(t.running) == 0 {
		close(t.idle)
		t.idle = nil
	}
}

// hold lets no command begin until release, and waits for those that run. What is to
// be repeated is cut short only after the grace.
func (t *turns) hold(ctx context.Context, grace time.Duration) error {
	idle := t.close()
	t.cut(gladly)
	impatient := time.AfterFunc(grace, func() { t.cut(late) })
	defer impatient.Stop()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return t.busy()
	}
}

// close lets no command begin. The channel is closed when none runs any more.
func (t *turns) close() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.released = make(chan struct{})
	idle := make(chan struct{})
	if len(t.running) == 0 {
		close(idle)
	} else {
		t.idle = idle
	}
	return idle
}

// busy says what runs.
func (t *turns) busy() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = nil
	var busy []string
	for w := range t.running {
		if r := w.snapshot().Running; r != nil {
			busy = append(busy, fmt.Sprintf("%s carries out %s", w.label(), r.Action))
		}
	}
	slices.Sort(busy)
	return fmt.Errorf("%s; try again once it is over: %w", strings.Join(busy, ", "), gateway.ErrTimeout)
}

func (t *turns) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.released)
	t.released = nil
}
