package uplink

import (
	"context"
	"errors"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// taker takes messages from the store and beats the heart with each, or when
// there was none for a while. A Publish or an Ack that hangs keeps fill from
// coming here, and the heart stops.
type taker struct {
	*Sender
	complaint string

	// turn bounds one wait for a message; it serves many calls.
	turn context.Context
	end  context.CancelFunc
	// brief: turn ends sooner than beatEvery.
	brief bool
}

func newTaker(s *Sender) *taker { return &taker{Sender: s, end: func() {}} }

func (t *taker) close() { t.end() }

// take returns the next message. It fails only when ctx ends: a store that
// cannot be read is asked again after a pause.
func (t *taker) take(ctx context.Context) (gateway.Message, error) {
	for {
		t.begin(ctx, t.gate.look())
		m, err := t.opts.Store.Next(t.turn)
		t.heart.Beat()
		switch {
		case ctx.Err() != nil:
			return gateway.Message{}, ctx.Err() // m, if any, comes again after Rewind
		case err == nil:
			t.complaint = ""
			if t.opts.Dater != nil {
				m = t.opts.Dater.Date(m)
			}
			return m, nil
		case t.turn.Err() != nil && errors.Is(err, context.DeadlineExceeded): // nothing to send
		default:
			t.complain(err)
			t.wait(ctx, t.opts.MinBackoff)
		}
	}
}

// begin bounds the next wait for a message: by pause, after which telemetry may
// go again, if that is not 0, and by beatEvery.
func (t *taker) begin(ctx context.Context, pause time.Duration) {
	if pause == 0 && !t.brief && t.turn != nil && t.turn.Err() == nil {
		return
	}
	t.end()
	t.brief = pause > 0 && pause < beatEvery
	if !t.brief {
		pause = beatEvery
	}
	t.turn, t.end = context.WithTimeout(ctx, pause)
}

// complain logs a fault of the store once, not at each attempt.
func (t *taker) complain(err error) {
	if t.complaint != err.Error() {
		t.complaint = err.Error()
		t.log.Error("uplink cannot read the queue", "error", err)
	}
}

// isHopeless tells a message that can never be sent from a session that is broken.
func isHopeless(err error) bool { return errors.Is(err, gateway.ErrInvalid) }

// rejectTimeout bounds one Reject, so that a store in trouble shows.
const rejectTimeout = 30 * time.Second

func (s *Sender) reject(ctx context.Context, id gateway.MessageID, reason error) {
	ctx, cancel := context.WithTimeout(ctx, rejectTimeout)
	defer cancel()
	if err := s.opts.Store.Reject(ctx, id, reason.Error()); err != nil {
		s.log.Error("message cannot be sent, nor set aside", "id", id.String(), "reason", reason, "error", err)
		return
	}
	s.log.Warn("message set aside, it can never be sent", "id", id.String(), "reason", reason)
	s.state.count(func(st *Stats) { st.Rejected++ })
}
