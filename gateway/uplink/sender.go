package uplink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// Options of a Sender. Store and Upstream are required; a zero duration means
// its default.
type Options struct {
	Store    Store
	Upstream Upstream
	// Dater completes what is sent; nil: it is complete.
	Dater  Dater
	Log    *slog.Logger
	Health *health.Board

	// MaxRate bounds the bytes per second that leave; 0 is no bound. Telemetry
	// waits for its share in the store; what else there is to send goes at once
	// and makes telemetry wait longer.
	MaxRate int64
	// Meter counts the bytes, if Upstream is Metered; its plan may hold
	// telemetry back. Several senders may share one. Left out, it is one without
	// a plan.
	Meter *Meter
	// Telemetry are the lanes that wait for MaxRate and the plan; default is the
	// lane telemetry. The Store must be a Holder for it.
	Telemetry []gateway.Lane

	// AckTimeout is how long no PUBACK may come, although one is due, before the
	// session counts as dead; default 30 s.
	AckTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause between attempts; default 1 s
	// and 100 s, as Azure's embedded SDKs do.
	MinBackoff, MaxBackoff time.Duration
	// StartJitter is the longest random pause before the first attempt, so that
	// a fleet does not come back from a power cut all at once; zero means none.
	StartJitter time.Duration
	// Grace is how long a stop waits for PUBACKs that are due; default 1 s.
	Grace time.Duration
	// OfflineAfter is how long without a connection is worth a health
	// condition; default 10 s.
	OfflineAfter time.Duration
}

// Sender drains a store into an upstream. Make it with New; call Run once.
type Sender struct {
	opts   Options
	log    *slog.Logger
	state  *state
	pause  backoff
	heart  *health.Heart
	gate   *gate // nil: always open
	losses losses
	// suspects are messages that may be the reason of losses.
	suspects suspects
}

// New returns a Sender that does nothing until Run.
func New(o Options) (*Sender, error) {
	if o.Store == nil || o.Upstream == nil {
		return nil, errors.New("uplink: a store and an upstream are required")
	}
	if o.Upstream.Window() < 1 {
		return nil, fmt.Errorf("uplink %s: a window of %d messages sends nothing", o.Upstream.Name(), o.Upstream.Window())
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("upstream", o.Upstream.Name())
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	o.AckTimeout = cmp.Or(o.AckTimeout, 30*time.Second)
	o.MinBackoff = cmp.Or(o.MinBackoff, time.Second)
	o.MaxBackoff = max(cmp.Or(o.MaxBackoff, 100*time.Second), o.MinBackoff)
	o.Grace = cmp.Or(o.Grace, time.Second)
	o.OfflineAfter = cmp.Or(o.OfflineAfter, 10*time.Second)
	if err := meterDefaults(&o); err != nil {
		return nil, err
	}
	gate, err := gateFor(o)
	if err != nil {
		return nil, err
	}
	return &Sender{
		opts: o, log: o.Log, gate: gate,
		state: newState(o),
		pause: backoff{min: o.MinBackoff, max: o.MaxBackoff},
	}, nil
}

func meterDefaults(o *Options) (err error) {
	if o.Meter == nil {
		o.Meter, err = NewMeter(MeterOptions{Log: o.Log})
	}
	if m, ok := o.Upstream.(Metered); ok {
		m.CountWith(o.Meter)
	}
	if o.Telemetry == nil {
		o.Telemetry = []gateway.Lane{gateway.LaneTelemetry}
	}
	return err
}

func gateFor(o Options) (*gate, error) {
	if o.MaxRate < 0 {
		return nil, fmt.Errorf("uplink %s: a rate of %d bytes per second: want 0 or more", o.Upstream.Name(), o.MaxRate)
	}
	if o.MaxRate == 0 && !o.Meter.Planned() {
		return nil, nil
	}
	holder, ok := o.Store.(Holder)
	if !ok {
		return nil, fmt.Errorf("uplink %s: a rate or a data plan needs a store that can hold lanes back", o.Upstream.Name())
	}
	return newGate(holder, o.Telemetry, o.MaxRate, o.Meter), nil
}

// Stats is a snapshot for status displays.
func (s *Sender) Stats() Stats {
	st := s.state.snapshot()
	st.MaxRate, st.Bytes = s.opts.MaxRate, s.opts.Meter.Bytes()
	if s.opts.Meter.Planned() {
		standing := s.opts.Meter.Standing()
		st.Plan = &standing
	}
	return st
}

const (
	// beatEvery bounds the silence of the heart while there is nothing to do.
	beatEvery = 10 * time.Second
	// connectTimeout bounds Connect: login, subscription and all.
	connectTimeout = time.Minute
)

var errNoSession = fmt.Errorf("no session within %v: %w", connectTimeout, gateway.ErrTimeout)

// Run sends until ctx ends. It then waits a moment for PUBACKs that are due,
// disconnects and returns nil.
func (s *Sender) Run(ctx context.Context) error {
	// Waiting for a PUBACK is bounded by AckTimeout; the rest is for Connect.
	s.heart = s.opts.Health.Heart("uplink", s.opts.AckTimeout+connectTimeout)
	defer s.opts.Health.Remove(s.heart)
	s.state.begin()
	defer s.state.end()
	defer s.gate.open()
	s.wait(ctx, between(0, s.opts.StartJitter))
	for ctx.Err() == nil {
		s.heart.Beat()
		pause := s.attempt(ctx)
		s.wait(ctx, pause)
	}
	return nil
}

// attempt runs one session from Connect to its end, and says how long to
// pause before the next.
func (s *Sender) attempt(ctx context.Context) time.Duration {
	session, err := s.connect(ctx)
	if err != nil {
		return s.failed(ctx, err)
	}
	s.state.up()
	s.log.Info("uplink connected")
	start := time.Now()
	end := s.serve(ctx, session)
	return s.ended(ctx, end, time.Since(start))
}

func (s *Sender) connect(ctx context.Context) (Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errNoSession)
	defer cancel()
	return s.opts.Upstream.Connect(ctx)
}

// failed decides what follows an attempt that opened no session.
func (s *Sender) failed(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	var pause time.Duration
	why := causeOf(err)
	switch {
	case errors.Is(err, ErrCutShort):
		pause, why = s.pause.next(), s.losses.cutShort(time.Now())
		s.log.Warn("uplink lost", "error", err, "next_attempt_in", pause.Round(time.Millisecond))
	case errors.Is(err, ErrNotReady):
		pause = s.opts.MinBackoff
		s.log.Debug("uplink waits", "error", err)
	case errors.Is(err, ErrRefused):
		pause = s.pause.slow()
		s.log.Error("uplink refused", "error", err, "next_attempt_in", pause.Round(time.Second))
	default:
		pause = s.pause.next()
		s.log.Warn("uplink not connected", "error", err, "next_attempt_in", pause.Round(time.Millisecond))
	}
	s.state.down(err, why, pause)
	return pause
}

// ended decides what follows a session.
func (s *Sender) ended(ctx context.Context, end sessionEnd, lasted time.Duration) time.Duration {
	switch {
	case ctx.Err() != nil:
		s.log.Info("uplink closed", "unconfirmed", end.unconfirmed)
		return 0
	case end.err == nil && lasted >= s.opts.MinBackoff:
		s.log.Info("uplink renews its session", "unconfirmed", end.unconfirmed)
		s.state.renewing()
		s.losses.renewed(lasted)
		return 0
	}
	err := cmp.Or(end.err, errors.New("renewed too soon"))
	why := s.losses.ended(end, lasted, time.Now())
	if lasted >= steady && end.unconfirmed == 0 {
		s.pause.reset() // with nothing to confirm, a connection that has lasted is as good as a PUBACK
	}
	if s.suspects.isolated() {
		err = fmt.Errorf("%w (the same message was in flight each time: one at a time is sent now)", err)
	}
	pause := s.pause.next()
	s.log.Warn("uplink lost", "error", err, "unconfirmed", end.unconfirmed, "next_attempt_in", pause.Round(time.Millisecond))
	s.state.down(err, why, pause)
	return pause
}

// wait pauses, and beats now and then: pausing is all there is to do.
func (s *Sender) wait(ctx context.Context, d time.Duration) {
	for end := time.Now().Add(d); ctx.Err() == nil; {
		left := time.Until(end)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, beatEvery))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		s.heart.Beat()
	}
}
