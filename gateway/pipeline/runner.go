package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
)

const (
	// The pauses before a stream that failed is run again.
	minRunPause = time.Second
	maxRunPause = time.Minute
	// settled is how long a stream must have run to count as good although it
	// has not said anything, and for the pauses to start anew.
	settled = 10 * time.Second
)

// RunnerOptions of a Runner. All but Label, Log and Health are required.
type RunnerOptions struct {
	Device gateway.DeviceID
	// Label says for people which device it is; left out: its id.
	Label  string
	Stream gateway.Stream
	// Sink takes the readings, stamped: a Batcher.
	Sink  gateway.Sink
	Clock clock.Clock
	// Processing says what is done with the readings on their way to the sink.
	Processing Processing
	// Alerts takes what Processing.Alerts tell; it may be nil if there are none.
	Alerts Alerter
	// AlertMemory keeps over restarts which alerts have been told; it may be nil.
	AlertMemory gateway.Memory
	// Latest takes each reading as it is true, before what spares the line; it may
	// be nil.
	Latest func(readings ...gateway.Reading)

	Log    *slog.Logger
	Health *health.Board
}

// Runner keeps one stream running.
type Runner struct {
	opts   RunnerOptions
	device *device
	sink   *deviceSink
	pause  backoff
	// doubted is set from the end of a run in which the device was silent, or was
	// not understood, for too long. Silence proves nothing then: it stays failing
	// until it says something that is not bad.
	doubted atomic.Bool
}

// NewRunner returns a Runner that does nothing until Run.
func NewRunner(o RunnerOptions) (*Runner, error) {
	if o.Device == "" || o.Stream == nil || o.Sink == nil || o.Clock == nil {
		return nil, fmt.Errorf("pipeline: the runner of device %q needs a stream, a sink and a clock", o.Device)
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("device", o.Device)
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	chain, err := newChainFor(o.Device, o.Processing, o.Alerts)
	if err != nil {
		return nil, err
	}
	d := newDevice(o.Device, o.Label, o.Health)
	r := &Runner{opts: o, device: d, pause: backoff{min: minRunPause, max: maxRunPause}}
	r.sink = &deviceSink{id: o.Device, device: d, clock: o.Clock, seen: r.heard, latest: o.Latest, next: o.Sink, alerts: o.Alerts, told: &standing{memory: o.AlertMemory, log: o.Log}, log: o.Log, board: o.Health, chain: chain}
	return r, nil
}

// heard notes readings of a stream.
func (r *Runner) heard(readings []gateway.Reading) {
	r.device.began()
	r.device.delivered(readings)
	r.settled()
}

// settled notes that the stream works, unless that is doubted.
func (r *Runner) settled() {
	if !r.doubted.Load() {
		r.device.good()
	}
}

// ear is the sink of a stream as the stream sees it. What it says is judged before
// the config has its say.
type ear struct {
	*deviceSink
	doubted *atomic.Bool
}

// Emit implements gateway.Sink.
func (e ear) Emit(ctx context.Context, readings ...gateway.Reading) error {
	if !slices.ContainsFunc(readings, func(r gateway.Reading) bool { return r.Quality == gateway.Bad }) {
		e.doubted.Store(false)
	}
	return e.deviceSink.Emit(ctx, readings...)
}

// Stats is a snapshot for status displays.
func (r *Runner) Stats() DeviceStats { return r.sink.fill(r.device.snapshot()) }

// Run runs the stream, again after a growing pause when it ends, until ctx
// does. Its error names a stream that did not stop and was left behind.
func (r *Runner) Run(ctx context.Context) (err error) {
	defer r.device.end()
	r.sink.start()
	defer func() { err = errors.Join(err, r.sink.stop(context.WithoutCancel(ctx))) }()
	for ctx.Err() == nil {
		c := enter(r.opts.Log, r.device, func() ([]gateway.Reading, error) { return nil, r.opts.Stream.Run(ctx, ear{r.sink, &r.doubted}) })
		if err := r.follow(ctx, c); err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		r.doubted.Store(errors.Is(c.err, gateway.ErrTimeout) && !errors.Is(c.err, gateway.ErrUnavailable))
		r.device.failed(cmp.Or(c.err, errors.New("the stream ended by itself")))
		r.rest(ctx, time.Since(c.began))
	}
	return nil
}

// follow waits for the end of a run.
func (r *Runner) follow(ctx context.Context, c *call) error {
	settling := time.NewTimer(settled)
	defer settling.Stop()
	for {
		select {
		case <-c.done:
			return nil
		case <-settling.C:
			r.settled()
		case <-ctx.Done():
			if c.await(context.WithoutCancel(ctx), stopGrace, func() {}) {
				return nil
			}
			return fmt.Errorf("%s: the stream has not stopped within %v and is left behind: %w",
				r.device.label, stopGrace, gateway.ErrTimeout)
		}
	}
}

// rest pauses after a run that lasted so long. The pauses of an absent device
// do not grow: what keeps it sees to that.
func (r *Runner) rest(ctx context.Context, lasted time.Duration) {
	if lasted >= settled {
		r.pause.reset()
	}
	pause := absentEvery
	if !r.device.is(Absent) {
		pause = r.pause.next()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
