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
	number  uint16
	waiting map[uint16]waiter
}

type waiter struct {
	answer Type
	frames chan Frame // holds the one answer
}

func newSession(parent context.Context, id uint16, h Hello, stay bool) *session {
	s := &session{id: id, hello: h, stay: stay, size: max(1, int64(h.Window)), waiting: map[uint16]waiter{}}
	s.window = semaphore.NewWeighted(s.size)
	s.over, s.end = context.WithCancelCause(parent)
	return s
}

// enter gives a request its number, and a place for the answer.
func (s *session) enter(t Type) (uint16, waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for taken := true; taken; _, taken = s.waiting[s.number] {
		if s.number++; s.number == 0 {
			s.number = 1
		}
	}
	w := waiter{t.Answer(), make(chan Frame, 1)}
	s.waiting[s.number] = w
	return s.number, w
}

func (s *session) leave(number uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, number)
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
	w, ok := s.waiting[f.Number]
	if !ok || w.answer != f.Type {
		return false
	}
	delete(s.waiting, f.Number) // a second answer belongs to nobody
	f.Payload = append([]byte(nil), f.Payload...)
	w.frames <- f
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
	number, w := s.enter(t)
	defer s.leave(number)
	return c.ask(ctx, s, w, Frame{version, t, s.id, number, payload}, each)
}

// ask sends the frame up to five times. If nobody answers, the session is over.
func (c *Conn) ask(ctx context.Context, s *session, w waiter, f Frame, each time.Duration) (reply, error) {
	r := reply{asked: time.Now()}
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	for attempt := range attempts {
		if attempt > 0 {
			r.asked = time.Time{}
			c.mem.count(func(s *Stats) { s.Retries++ })
		}
		if err := c.send(f); err != nil {
			return r, err
		}
		r.sent = true
		timer.Reset(each)
		select {
		case f := <-w.frames:
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
