package link

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
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
	running sync.WaitGroup // reader, keeper and their helpers

	writing sync.Mutex // held by send

	greeted chan Hello    // holds the last greeting
	agreed  chan *session // holds what came of the HELLO under way
	ackDue  chan struct{} // holds one token
	doing   chan struct{} // holds one token while a DO is under way

	mu       sync.Mutex
	proposal *proposal     // nil: none
	first    Start         // how the first session of all began, before the second
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
		ackDue: make(chan struct{}, 1), doing: make(chan struct{}, 1), changed: make(chan struct{}),
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

// read is the reader: it takes frames off the stream until that ends.
func (c *Conn) read() {
	var split Splitter
	chunk := make([]byte, 1024)
	for {
		n, err := c.rw.Read(chunk)
		split.Split(chunk[:n], c.take)
		c.mem.count(func(s *Stats) {
			s.Damaged += split.Damaged
			split.Damaged = 0
		})
		if err != nil {
			c.fail(fmt.Errorf("the line to the microcontroller has ended: %w: %w", err, gateway.ErrUnavailable))
			return
		}
	}
}

// take sorts what comes.
func (c *Conn) take(f Frame) {
	c.mem.count(func(s *Stats) { s.FramesIn++ })
	ok := false
	if s := c.inForce(); f.Type == TypeHello.Answer() {
		ok = c.takeHello(f)
	} else if s != nil && f.Session == s.id && f.Version == version {
		ok = c.takeIn(s, f)
	}
	if !ok {
		c.mem.count(func(s *Stats) { s.Foreign++ })
	}
}

// takeIn takes a frame of the session.
func (c *Conn) takeIn(s *session, f Frame) bool {
	switch f.Type {
	case TypeReadings:
		b, ok := decodeBatch(f.Payload)
		if !ok {
			return false
		}
		fresh, lost, ack := c.mem.inbox.receive(b, s.clock.when)
		c.mem.count(func(s *Stats) {
			s.Readings += uint64(fresh)
			s.Lost += uint64(lost)
		})
		if ack {
			c.ackSoon()
		}
		return true
	case TypeLog:
		level, uptime, text, ok := decodeLog(f.Payload)
		if ok {
			c.mem.inbox.receiveLine(f.Number, Line{Level: level, Time: s.clock.when(uptime), Text: text})
		}
		return ok
	default:
		return s.answer(f)
	}
}

// send writes a frame. Its error is the end of the Conn.
func (c *Conn) send(f Frame) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.Err(); err != nil {
		return err
	}
	if _, err := c.rw.Write(f.Append(nil)); err != nil {
		c.fail(fmt.Errorf("sending to the microcontroller: %w: %w", err, gateway.ErrUnavailable))
		return c.Err()
	}
	c.mem.count(func(s *Stats) { s.FramesOut++ })
	return nil
}

func (c *Conn) ackSoon() {
	select {
	case c.ackDue <- struct{}{}:
	default:
	}
}
