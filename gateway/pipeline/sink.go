package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// Alerter takes alerts: a Batcher.
type Alerter interface {
	// Alert has an alert sent at once. It returns before that is durable, and
	// calls stored once it is.
	Alert(ctx context.Context, a gateway.Alert, stored func()) error
}

// deviceSink is the sink of one device: it stamps readings, has them
// processed, notes them, and hands them on.
type deviceSink struct {
	id     gateway.DeviceID
	device *device
	clock  clock.Clock
	seen   func(readings []gateway.Reading)
	// latest may be nil.
	latest func(readings ...gateway.Reading)
	next   gateway.Sink
	// alerts may be nil if no chain tells any.
	alerts Alerter
	told   *standing
	log    *slog.Logger
	board  *health.Board

	mu    sync.Mutex // guards the rest, and keeps readings in order
	chain *Chain
	// timer runs tick when something of the chain is due, from start to stop.
	timer   *time.Timer
	running bool
}

// start takes up the alerts of an earlier run and lets time pass for the chain.
func (s *deviceSink) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alerts != nil {
		s.chain.resume(s.told.load())
	}
	s.running = true
	s.push(nil)
	s.arm()
}

// stop hands on all that the chain holds. Nothing runs after it.
func (s *deviceSink) stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	if s.timer != nil {
		s.timer.Stop() // a tick that waits for mu finds that nothing runs
	}
	s.board.Clear(s.code())
	return s.hand(ctx, s.chain.Stop(time.Now()))
}

// tick hands on what is due.
func (s *deviceSink) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return
	}
	now := time.Now()
	s.push(s.chain.Tick(now))
	s.report(now)
	s.arm()
}

// push hands on what nobody waits for. The caller holds mu.
func (s *deviceSink) push(readings []gateway.Reading) {
	if err := s.hand(context.Background(), readings); err != nil {
		s.log.Warn("readings or alerts are lost", "error", err)
	}
}

// arm sets the timer. The caller holds mu.
func (s *deviceSink) arm() {
	due := s.chain.Due()
	switch {
	case !s.running || due.IsZero():
	case s.timer == nil:
		s.timer = time.AfterFunc(time.Until(due), s.tick)
	default:
		s.timer.Reset(time.Until(due))
	}
}

// hand passes on the alerts of the chain, and readings, if there are any. The
// caller holds mu.
func (s *deviceSink) hand(ctx context.Context, readings []gateway.Reading) error {
	var errs []error
	for _, a := range s.chain.Alerts() {
		a.Time = s.clock.Now()
		errs = append(errs, s.alerts.Alert(ctx, a, func() { s.told.told(a) }))
	}
	if len(readings) > 0 {
		errs = append(errs, s.next.Emit(ctx, readings...))
	}
	return errors.Join(errs...)
}

// Emit implements gateway.Sink.
func (s *deviceSink) Emit(ctx context.Context, readings ...gateway.Reading) error {
	stamped := stamp(s.id, s.clock.Now(), readings)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	measured := s.chain.measure(stamped, false, now, &s.chain.stats)
	s.note(measured)
	out := s.chain.reduce(measured, now)
	s.report(now)
	s.arm()
	return s.hand(ctx, out)
}

// note tells those on the board who go by what is true.
func (s *deviceSink) note(measured []gateway.Reading) {
	s.seen(measured)
	if s.latest != nil {
		s.latest(measured...)
	}
}

// Commit implements gateway.Sink. Whoever calls is promised an id for each
// batch, so that nothing is held back or dropped: what is outside of its valid
// range is marked bad.
func (s *deviceSink) Commit(ctx context.Context, batches ...[]gateway.Reading) ([]gateway.MessageID, error) {
	now := s.clock.Now()
	stamped := make([][]gateway.Reading, len(batches))
	for i, batch := range batches {
		stamped[i] = stamp(s.id, now, batch)
	}
	counts, err := s.measureAll(ctx, stamped)
	if err != nil {
		return nil, err
	}
	ids, err := s.next.Commit(ctx, stamped...) // without mu: callers share a sync to disk
	if err != nil {
		return nil, err
	}
	s.note(slices.Concat(stamped...))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chain.stats.kept(counts)
	return ids, nil
}

// Gap implements gateway.Sink.
func (s *deviceSink) Gap(ctx context.Context, g gateway.Gap) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.Device = cmp.Or(g.Device, s.id)
	if g.Time.IsZero() {
		g.Time = s.clock.Now()
	}
	return s.next.Gap(ctx, g)
}

// measureAll puts what is true into the place of the batches.
func (s *deviceSink) measureAll(ctx context.Context, batches [][]gateway.Reading) (counts ProcessingStats, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for i, batch := range batches {
		batches[i] = s.chain.measure(batch, true, now, &counts)
	}
	s.report(now)
	s.arm()
	return counts, s.hand(ctx, nil)
}

// fill adds what the chain has done to a snapshot of the device.
func (s *deviceSink) fill(stats DeviceStats) DeviceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Processing, stats.Alerts = s.chain.Stats(), s.chain.Active()
	return stats
}

func (s *deviceSink) code() string { return "processing:" + string(s.id) }

// report states what goes wrong in the chain. The caller holds mu.
func (s *deviceSink) report(now time.Time) {
	if !s.chain.problems.news(now) {
		return
	}
	if summary := s.chain.problems.summary(); summary != "" {
		s.board.Raise(s.code(), health.Warning, s.device.label+": "+summary)
	} else {
		s.board.Clear(s.code())
	}
}

// stamp fills in what the driver left empty, in a copy.
func stamp(id gateway.DeviceID, now time.Time, readings []gateway.Reading) []gateway.Reading {
	stamped := slices.Clone(readings)
	for i := range stamped {
		r := &stamped[i]
		if r.Device == "" {
			r.Device = id
		}
		if r.Time.IsZero() {
			r.Time = now.Add(-r.Age)
		}
		r.Age = 0
		if r.Quality == "" {
			r.Quality = gateway.Good
		}
	}
	return stamped
}
