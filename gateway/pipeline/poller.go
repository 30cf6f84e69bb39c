package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
)

const (
	// maxPhase bounds how long the first read of a device is put off.
	maxPhase = 5 * time.Second
	// courtesy is how much longer than its deadline a driver may take to say
	// that it is over, before it counts as stuck.
	courtesy = 250 * time.Millisecond
	// stopGrace bounds how long a stop waits for a driver to come back.
	stopGrace = 2 * time.Second
)

// PollerOptions of a Poller. All but Label, Log and Health are required.
type PollerOptions struct {
	Device gateway.DeviceID
	// Label says for people which device it is; left out: its id.
	Label  string
	Sensor gateway.Sensor
	// Sink takes the readings, stamped: a Batcher.
	Sink  gateway.Sink
	Clock clock.Clock
	// Every is the time from one read to the next, Timeout the most that one
	// may take.
	Every, Timeout time.Duration
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

// Poller reads one sensor at a steady pace.
type Poller struct {
	opts   PollerOptions
	device *device
	sink   *deviceSink
	heart  *health.Heart
	// paces has the pace that Run has not seen yet.
	paces chan Pace
	pace  Pace // owned by Run
	// questions of who wants a reading now.
	questions chan question
	// read is the Read that runs, or that was given up and has not come back.
	read *call
}

// Pace is how often a sensor is read.
type Pace struct {
	// Every is the time from one read to the next, more than 0.
	Every time.Duration
	// Enabled is false for a sensor that is left alone.
	Enabled bool
}

// NewPoller returns a Poller that does nothing until Run.
func NewPoller(o PollerOptions) (*Poller, error) {
	if o.Device == "" || o.Sensor == nil || o.Sink == nil || o.Clock == nil || o.Every <= 0 || o.Timeout <= 0 {
		return nil, fmt.Errorf("pipeline: the poller of device %q needs a sensor, a sink, a clock, a period and a timeout", o.Device)
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("device", o.Device)
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	chain, err := newChainFor(o.Device, o.Processing, o.Alerts)
	if err != nil {
		return nil, err
	}
	d := newDevice(o.Device, o.Label, o.Health)
	return &Poller{
		opts: o, device: d, paces: make(chan Pace, 1), questions: make(chan question), pace: Pace{Every: o.Every, Enabled: true},
		sink: &deviceSink{id: o.Device, device: d, clock: o.Clock, seen: d.delivered, latest: o.Latest, next: o.Sink, alerts: o.Alerts, told: &standing{memory: o.AlertMemory, log: o.Log}, log: o.Log, board: o.Health, chain: chain},
	}, nil
}

// SetPace changes the pace, at once or when Run begins. A read under way is
// not disturbed. It may be called from one goroutine at a time.
func (p *Poller) SetPace(pace Pace) {
	if pace.Every <= 0 {
		return // there is no such pace
	}
	select {
	case <-p.paces: // Run has not seen it
	default:
	}
	p.paces <- pace
}

// Stats is a snapshot for status displays.
func (p *Poller) Stats() DeviceStats { return p.sink.fill(p.device.snapshot()) }

// Run polls until ctx ends. Its error names a Read that did not come back and
// was left behind.
//
// The slots are Every apart by the monotonic clock, from a random moment on,
// so that devices with the same period do not crowd the bus and the disk. A
// slot that passes while a read runs is skipped. Another pace begins anew. An
// absent device is asked more often, so that it is read as soon as it is back.
func (p *Poller) Run(ctx context.Context) error {
	p.heart = p.opts.Health.Heart("poller:"+string(p.opts.Device), maxSilence)
	defer p.opts.Health.Remove(p.heart)
	defer p.device.end()
	p.sink.start()
	p.takePace()
	for ctx.Err() == nil {
		p.keepPace(ctx)
	}
	return errors.Join(p.leave(ctx), p.sink.stop(context.WithoutCancel(ctx)))
}

// keepPace polls until another pace is set or ctx ends.
func (p *Poller) keepPace(ctx context.Context) {
	if !p.pace.Enabled {
		p.device.disabled()
		p.sleep(ctx, time.Time{})
		return
	}
	p.device.enabled()
	first := time.Now().Add(rand.N(min(p.pace.Every, maxPhase)))
	for slot := first; p.sleep(ctx, slot); slot = p.next(first) {
		p.poll(ctx)
	}
}

// takePace takes over the pace that was set, if there is one.
func (p *Poller) takePace() {
	select {
	case p.pace = <-p.paces:
	default:
	}
}

// leave waits for a Read that has not come back yet.
func (p *Poller) leave(ctx context.Context) error {
	switch {
	case p.read == nil:
	case !p.read.await(context.WithoutCancel(ctx), stopGrace, p.heart.Beat):
		return fmt.Errorf("%s: a read begun %v ago has not come back and is left behind: %w",
			p.device.label, time.Since(p.read.began).Round(time.Second), gateway.ErrTimeout)
	case !p.read.late:
		p.take(ctx)
	}
	return nil
}

// after is the next slot from now on.
func (p *Poller) after(first time.Time) time.Time {
	passed := time.Since(first) / p.pace.Every
	return first.Add((passed + 1) * p.pace.Every)
}

// next is when the device is asked again: in the next slot, or soon if it is
// absent.
func (p *Poller) next(first time.Time) time.Time {
	slot := p.after(first)
	if soon := time.Now().Add(absentEvery); p.device.is(Absent) && soon.Before(slot) {
		return soon
	}
	return slot
}

// sleep waits until then, or for ever if that is zero. It reports false if ctx
// ended or another pace was set.
func (p *Poller) sleep(ctx context.Context, then time.Time) bool {
	for ctx.Err() == nil {
		p.heart.Beat()
		left := beatEvery
		if !then.IsZero() {
			left = min(left, time.Until(then))
		}
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case p.pace = <-p.paces:
			timer.Stop()
			return false
		case q := <-p.questions:
			timer.Stop()
			p.reply(ctx, q)
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return false
}

// poll reads once, unless an earlier Read has not come back. That one may be of
// somebody who asked.
func (p *Poller) poll(ctx context.Context) {
	if p.read != nil && !p.read.returned() {
		if !p.device.is(Stuck) {
			p.device.trouble(Stuck, p.errStuck())
		}
		return
	}
	rctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	p.device.began()
	p.read = enter(p.opts.Log, p.device, func() ([]gateway.Reading, error) { return p.opts.Sensor.Read(rctx) })
	switch {
	case p.read.await(ctx, p.opts.Timeout+courtesy, p.heart.Beat):
		p.take(ctx)
	case ctx.Err() == nil:
		p.read.late = true
		p.device.trouble(Stuck, p.errStuck())
	}
}

// errStuck is what a Read that was given up means.
func (p *Poller) errStuck() error {
	return fmt.Errorf("a read has not come back within %v; check the wiring and the bus: %w", p.opts.Timeout, gateway.ErrTimeout)
}

// take deals with what the Read has brought. What came beside an error is
// passed on too: the device is there.
func (p *Poller) take(ctx context.Context) {
	readings, err := p.read.readings, p.read.err
	p.read = nil
	note := p.device.failed
	if len(readings) > 0 {
		note = p.device.failing
		err = errors.Join(err, p.sink.Emit(context.WithoutCancel(ctx), readings...))
	}
	switch {
	case err == nil:
		p.device.good()
	case ctx.Err() == nil: // a failure because of the stop says nothing
		note(err)
	}
}
