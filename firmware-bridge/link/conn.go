package link

import (
	"context"
	"io"
	"sync"
	"time"
)

// DefaultPatience is how long a Conn waits for a silent microcontroller.
const DefaultPatience = 10 * time.Second

// Options are what Open may be told. The zero Options will do.
type Options struct {
	// Memory is what is known from the Conn before; nil: nothing.
	Memory *Memory
	// Stay asks a loader to stay, from the first HELLO on.
	Stay bool
	// Patience is how long HELLO may stay without an answer before the Conn fails;
	// 0 is DefaultPatience.
	Patience time.Duration
	// Now is the time that the microcontroller is told; the zero time if it cannot
	// be trusted. Nil: it is told none.
	Now func() time.Time
}

// Conn is the link to one microcontroller over one stream of bytes. Its methods
// can be called by any goroutine, [Conn.Each] by one at a time.
type Conn struct {
	rw       io.ReadWriteCloser
	mem      *Memory
	patience time.Duration
	now      func() time.Time

	// life ends when the Conn has failed or was closed; its cause says why.
	life    context.Context //nolint:containedctx // it is what ends, not a call's
	fail    context.CancelCauseFunc
	running sync.WaitGroup // reader, keeper, heart, and who closes rw

	writing sync.Mutex // held by send

	greeted chan Hello    // holds the last greeting
	agreed  chan *session // holds what came of the HELLO under way
	late    chan struct{} // holds one token after an answer to an earlier HELLO
	ackDue  chan struct{} // holds one token
	doing   chan struct{} // holds one token while a DO is under way

	mu       sync.Mutex
	proposal *proposal     // nil: none
	current  *session      // in force; nil: none
	changed  chan struct{} // closed when current changes
	stay     bool          // a loader is to stay
}

// Open begins a session over rw, which belongs to the Conn from now on, also if
// Open fails. Read has to wait for bytes; Write must not wait for ever; Close must
// end both. The error is that of ctx, wraps gateway.ErrUnavailable if rw ended,
// gateway.ErrTimeout if nobody has answered, or gateway.ErrInvalid if the
// microcontroller speaks another version of the link.
func Open(ctx context.Context, rw io.ReadWriteCloser, o Options) (*Conn, error) {
	c := &Conn{
		rw: rw, mem: o.Memory, patience: o.Patience, now: o.Now, stay: o.Stay,
		greeted: make(chan Hello, 1), agreed: make(chan *session, 1),
		late: make(chan struct{}, 1), ackDue: make(chan struct{}, 1), doing: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if c.mem == nil {
		c.mem = NewMemory()
	}
	if c.patience == 0 {
		c.patience = DefaultPatience
	}
	c.life, c.fail = context.WithCancelCause(context.Background())
	c.running.Go(func() {
		<-c.life.Done()
		_ = rw.Close() // what it says changes nothing
	})
	c.running.Go(c.read)
	c.running.Go(c.keep)
	if _, err := c.session(ctx); err != nil {
		_ = c.Close() // it never fails
		return nil, err
	}
	return c, nil
}

// Close ends the link, and returns when nothing of it is left.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.running.Wait()
	return nil
}

// Err is why the Conn does not work any more; nil if it does.
func (c *Conn) Err() error { return context.Cause(c.life) }

// Memory is what the next Conn to the same microcontroller is to be given.
func (c *Conn) Memory() *Memory { return c.mem }

// Stats returns the counts of the memory.
func (c *Conn) Stats() Stats { return c.mem.Stats() }

// Hello waits for a session and returns what the microcontroller said in it.
func (c *Conn) Hello(ctx context.Context) (Hello, error) {
	s, err := c.session(ctx)
	if err != nil {
		return Hello{}, err
	}
	return s.hello, nil
}

// Each hands events to take, in order, until ctx ends, take returns an error or
// the Conn has failed, and returns that. An event is acknowledged when take has
// returned nil; else it comes again. While nobody takes them, readings wait in the
// microcontroller.
func (c *Conn) Each(ctx context.Context, take func(Event) error) error {
	in := &c.mem.inbox
	for {
		e, ok := in.front()
		if !ok {
			select {
			case <-in.more:
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-c.life.Done():
				return context.Cause(c.life)
			}
			continue
		}
		if err := take(e); err != nil {
			return err
		}
		if in.done() {
			c.ackSoon()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
