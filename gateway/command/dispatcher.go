package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
)

const (
	// maxSilence is what the hearts of the workers promise.
	maxSilence = time.Minute
	// beatEvery bounds a wait in which there is nothing to do.
	beatEvery = maxSilence / 3
	// stopGrace bounds how long a stop waits for a stuck driver to come back.
	stopGrace = 2 * time.Second
)

// ConditionJournal stands while commands cannot be put on record.
const ConditionJournal = "command-journal"

// Options of a Dispatcher. Journal, Queue and Clock are required; zero means
// the default.
type Options struct {
	Journal Journal
	// Queue takes the answers to repeats and to input that is no command.
	Queue Queue
	Clock clock.Clock
	// Boot names this run of the board in results with an undated time.
	Boot string
	// Devices that there are at first.
	Devices
	// Grace is how long a stop lets running commands go on; default 5 s.
	Grace time.Duration

	Log    *slog.Logger
	Health *health.Board
}

// Dispatcher carries commands out, one at a time on each device.
type Dispatcher struct {
	opts   Options
	log    *slog.Logger
	fleet  atomic.Pointer[fleet]
	turns  turns
	counts counts

	ready    chan struct{} // closed when what was pending has its place
	stopping chan struct{} // closed when no command is begun any more
	stopped  chan struct{} // closed when Run returns
	began    time.Time     // of Run

	// What the workers run in, set by Run: no command is begun after life, none goes on
	// after work.
	life, work context.Context
	crew       sync.WaitGroup

	mu sync.Mutex // guards the rest
	// underway are the commands that are journalled and not finished, by id.
	underway map[string]*ticket
	places   uint64        // given to tickets
	load     load          // of all workers
	held     int           // commands that wait for room
	crowded  *worker       // the one for which there was no room at first; nil if that is over
	room     chan struct{} // closed, and made anew, when some has come free
}

// NewDispatcher returns a Dispatcher that takes commands once Run runs.
func NewDispatcher(o Options) (*Dispatcher, error) {
	if o.Journal == nil || o.Queue == nil || o.Clock == nil {
		return nil, errors.New("command: a journal, a queue and a clock are required")
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	o.Grace = cmp.Or(o.Grace, 5*time.Second)
	d := &Dispatcher{
		opts: o, log: o.Log, turns: turns{running: make(map[*worker]*turn)},
		counts: counts{final: make(map[ending]uint64)},
		ready:  make(chan struct{}), stopping: make(chan struct{}), stopped: make(chan struct{}),
		underway: make(map[string]*ticket), room: make(chan struct{}),
	}
	d.fleet.Store(d.newFleet(o.Devices, nil))
	return d, nil
}

// Run carries commands out until ctx ends, beginning with those that an
// earlier run left pending. Then none is begun any more; a running one has
// the grace to end by itself, and what is waiting is left to the next run.
// The error names the devices whose driver has not come back.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer close(d.stopped)
	d.began = time.Now()
	if !d.resume(ctx) {
		close(d.stopping)
		return nil
	}
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	d.begin(ctx, work)
	<-ctx.Done()
	d.end()
	grace := time.AfterFunc(d.opts.Grace, cut)
	defer grace.Stop()
	d.crew.Wait()
	d.opts.Health.Clear(ConditionJournal)
	d.opts.Health.Clear(ConditionBacklog)
	return d.leave()
}

// begin starts the workers and lets commands come in.
func (d *Dispatcher) begin(life, work context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life, d.work = life, work
	for _, w := range d.fleet.Load().all() {
		d.launch(w)
	}
	close(d.ready)
}

// end lets no command begin any more.
func (d *Dispatcher) end() {
	d.mu.Lock() // no worker is launched any more
	defer d.mu.Unlock()
	close(d.stopping)
}

// resume gives what was pending to the workers. It tries until the journal
// can be read: to begin with newer commands would break the order.
func (d *Dispatcher) resume(ctx context.Context) bool {
	var pause backoff
	for {
		err := d.opts.Journal.Pending(ctx, d.place)
		if err == nil {
			d.opts.Health.Clear(ConditionJournal)
			if n := d.waitingCommands(); n > 0 {
				d.log.Info("commands left pending by the last run are taken up", "count", n)
			}
			return true
		}
		d.journalFails("list what is pending", err)
		if !pause.wait(ctx) {
			return false
		}
	}
}

// place gives an entry of an earlier run its place, once. It had room when it was
// taken in, so it has now.
func (d *Dispatcher) place(e gateway.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.underway[e.Command.ID] != nil {
		return
	}
	w, bytes := d.fleet.Load().of(e.Command.Device), bytesOf(e.Command)
	w.load.add(1, bytes)
	d.load.add(1, bytes)
	d.enqueue(w, e.Command, bytes)
}

// leave waits a moment for drivers that have not come back.
func (d *Dispatcher) leave() error {
	var errs []error
	end := time.Now().Add(stopGrace)
	for _, w := range d.fleet.Load().all() {
		if w.stuck != nil && !w.stuck.await(context.Background(), time.Until(end), func() {}) {
			errs = append(errs, fmt.Errorf("%s: its driver has not come back from a command begun %v ago and is left behind: %w",
				w.label(), time.Since(w.stuck.began).Round(time.Second), gateway.ErrTimeout))
		}
		d.opts.Health.Clear(w.condition())
	}
	return errors.Join(errs...)
}

// journalFails states that commands cannot be put on record.
func (d *Dispatcher) journalFails(what string, err error) {
	d.opts.Health.Raise(ConditionJournal, health.Error,
		fmt.Sprintf("commands wait, the journal cannot %s: %v; check the disk", what, err))
}
