package link

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// answerTime is how long a request waits for its answer before it is sent again.
	answerTime = 500 * time.Millisecond
	// attempts is how often a request is sent before nobody is there.
	attempts = 5
)

// session is the time from a HELLO to a reset or silence.
type session struct {
	id    uint16
	hello Hello
	stay  bool // a loader was told to stay
	clock timeline

	// over ends with the session; its cause says why.
	over context.Context //nolint:containedctx // it is what ends, not a call's
	end  context.CancelCauseFunc

	window  *semaphore.Weighted // bytes that may be without an answer
	size    int64               // of the window
	mu      sync.Mutex
	others  uint16                // number of the last request that was no DO
	actions uint16                // and of the last DO: those have numbers of their own
	waiting map[ticket]chan Frame // hold the one answer
}

// ticket is what a request and its answer have in common.
type ticket struct {
	answer Type
	number uint16
}

func newSession(parent context.Context, id uint16, h Hello, stay bool) *session {
	s := &session{id: id, hello: h, stay: stay, size: max(1, int64(h.Window)), waiting: map[ticket]chan Frame{}}
	s.window = semaphore.NewWeighted(s.size)
	s.over, s.end = context.WithCancelCause(parent)
	return s
}

// enter gives a request its number, and a place for the answer.
func (s *session) enter(t Type) (ticket, chan Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := &s.others
	if t == TypeDo {
		last = &s.actions
	}
	own := ticket{answer: t.Answer()}
	for taken := true; taken; _, taken = s.waiting[own] {
		if *last++; *last == 0 {
			*last = 1
		}
		own.number = *last
	}
	frames := make(chan Frame, 1)
	s.waiting[own] = frames
	return own, frames
}

func (s *session) leave(t ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, t)
}

// idle says that no request is without an answer.
func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) == 0
}

// answer hands an answer to whoever waits for it, and says whether anybody does.
func (s *session) answer(f Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := ticket{f.Type, f.Number}
	frames, ok := s.waiting[own]
	if !ok {
		return false
	}
	delete(s.waiting, own) // a second answer belongs to nobody
	f.Payload = append([]byte(nil), f.Payload...)
	frames <- f
	return true
}

// reply is the answer to a request.
type reply struct {
	payload []byte
	// sent says that the request may have arrived, even if there is no answer.
	sent bool
	// asked is when an answer to the first attempt was asked for; zero if it was
	// sent more than once.
	asked time.Time
}

// exchange sends a request until it is answered, each time waiting for so long.
// The error is that of ctx, or why the session is over.
func (c *Conn) exchange(ctx context.Context, s *session, t Type, payload []byte, each time.Duration) (reply, error) {
	if len(payload) > int(min(s.hello.MaxPayload, mostPayload)) {
		return reply{}, fmt.Errorf("%v of %d bytes is more than the microcontroller takes, which is %d: %w", t, len(payload), s.hello.MaxPayload, gateway.ErrInvalid)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.over, func() { cancel(context.Cause(s.over)) })()

	size := min(s.size, int64(wireSize(len(payload))))
	if err := s.window.Acquire(ctx, size); err != nil {
		return reply{}, context.Cause(ctx)
	}
	defer s.window.Release(size)
	c.mem.count(func(s *Stats) { s.Requests++ })
	own, answer := s.enter(t)
	defer s.leave(own)
	return c.ask(ctx, s, answer, Frame{version, t, s.id, own.number, payload}, each)
}

// ask sends the frame up to five times. If nobody answers, the session is over.
func (c *Conn) ask(ctx context.Context, s *session, answer <-chan Frame, f Frame, each time.Duration) (reply, error) {
	r := reply{asked: time.Now()}
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	for attempt := range attempts {
		if attempt > 0 {
			r.asked = time.Time{}
			c.mem.count(func(s *Stats) { s.Retries++ })
		}
		if err := c.Err(); err != nil {
			return r, err
		}
		r.sent = true // in part, too: what is sent next may complete it
		if err := c.send(f); err != nil {
			return r, err
		}
		timer.Reset(each)
		select {
		case f := <-answer:
			r.payload = f.Payload
			return r, nil
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-timer.C:
		}
	}
	c.mem.count(func(s *Stats) { s.Timeouts++ })
	err := fmt.Errorf("the microcontroller has not answered %v, which was sent %d times: %w", f.Type, attempts, gateway.ErrTimeout)
	c.finish(s, err)
	return r, err
}
