package gpioinput

import (
	"context"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
)

const (
	// lookEvery is how often a line without edges is looked at: many kernels do
	// not wake who waits for a line whose chip has gone.
	lookEvery = 5 * time.Second
	// maxPending bounds the changes that wait to be told.
	maxPending = 1024
	// restless is for how long an input may bounce before its state is in doubt.
	restless = time.Second
)

// change is a state that the input has come to.
type change struct {
	state bool
	at    time.Time
}

// watch takes the edges of a line as they come, so that whoever tells of them
// may be slow.
type watch struct {
	in    *bus.Input
	tally *tally // nil if there is nothing to count
	// pulses are counted edge by edge; they have no state.
	pulses  bool
	settler *settler // owned by run

	// news has something in it if there is something to tell.
	news chan struct{}

	mu      sync.Mutex // guards the rest
	pending []change
	lost    uint64    // edges, and changes that nobody has told in time
	unrest  time.Time // that of the settler
}

func newWatch(d *Dev, in *bus.Input) *watch {
	w := &watch{in: in, news: make(chan struct{}, 1), settler: d.settler}
	if d.config.Kind == counter {
		w.tally, w.pulses = &d.tally, d.edges() == gpiochip.ActiveEdges
	}
	return w
}

// run watches until ctx ends, which is no error, or the line is lost.
func (w *watch) run(ctx context.Context) error {
	look := time.Now().Add(lookEvery)
	for {
		until := look
		if due := w.settler.due(); !due.IsZero() && due.Before(until) {
			until = due
		}
		got, err := w.in.Edges(ctx, until)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case len(got.Edges) > 0:
			w.take(got)
		default:
			if err := w.look(); err != nil {
				return err
			}
			look = time.Now().Add(lookEvery)
		}
	}
}

// take deals with edges in the order in which they came.
func (w *watch) take(got bus.Edges) {
	if w.pulses {
		w.tally.add(uint64(len(got.Edges)) + uint64(got.Lost))
		return
	}
	w.lose(uint64(got.Lost))
	for _, e := range got.Edges {
		if w.settler.edge(e) {
			w.settled(e.At)
		}
	}
	w.note()
}

// look reads the line when no edge has come, be it because it has settled, or
// because it was time. Should it be what no edge has told of, one was missed.
func (w *watch) look() error {
	level, err := w.in.Level()
	if err != nil || w.pulses {
		return err
	}
	if now := time.Now(); w.settler.seen(level, now) {
		w.settled(now)
	}
	w.note()
	return nil
}

// settled deals with a change.
func (w *watch) settled(at time.Time) {
	switch {
	case w.tally == nil:
		w.tell(change{w.settler.state, at})
	case w.settler.state:
		w.tally.add(1)
	}
}

func (w *watch) tell(c change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, c)
	if len(w.pending) > maxPending {
		w.pending = w.pending[1:]
		w.lost++
	}
	w.wake()
}

func (w *watch) lose(n uint64) {
	if n == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost += n
	w.wake()
}

func (w *watch) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// note lets others see whether the input bounces.
func (w *watch) note() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unrest = w.settler.unrest
}

// doubtful says whether the input has bounced for so long that its state says
// little.
func (w *watch) doubtful() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.unrest.IsZero() && time.Since(w.unrest) > restless
}

// toTell hands over what nobody has told yet.
func (w *watch) toTell() (changes []change, lost uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes, lost = w.pending, w.lost
	w.pending, w.lost = nil, 0
	return changes, lost
}
