package link

import (
	"context"
	"time"
)

// mostBeat is the longest pause between two heartbeats.
const mostBeat = time.Second

// keep is the keeper: it holds a session for as long as somebody answers. It
// begins a second one at once after the first of all, since the microcontroller may
// have been in one of that number.
func (c *Conn) keep() {
	for c.life.Err() == nil {
		s, err := c.handshake()
		if err != nil {
			c.fail(err)
			return
		}
		if s != nil {
			c.attend(s)
		}
	}
}

// attend sees to a session until it is over: heartbeats and acknowledgements.
func (c *Conn) attend(s *session) {
	c.running.Go(func() { c.beat(s) })
	for {
		select {
		case <-c.ackDue:
			payload := c.mem.inbox.ack()
			if payload[4] == 1 {
				c.mem.count(func(s *Stats) { s.Repeats++ })
			}
			if c.send(Frame{version, TypeAck, s.id, 0, payload}) != nil {
				return
			}
		case <-s.over.Done():
			return
		}
	}
}

// beat is the heart: until the session is over it sends PING. While a request is
// without an answer it sends ACK, lest the application take fail-safe meanwhile.
func (c *Conn) beat(s *session) {
	ticker := time.NewTicker(min(time.Duration(s.hello.Timeout)*time.Millisecond/4, mostBeat))
	defer ticker.Stop()
	for {
		switch {
		case s.idle():
			if c.ping(s) != nil {
				return
			}
		case s.hello.Role == Application:
			c.ackSoon()
		}
		select {
		case <-ticker.C:
		case <-s.over.Done():
			return
		}
	}
}

func (c *Conn) ping(s *session) error {
	now := uint64(0)
	if c.now != nil {
		if t := c.now(); !t.IsZero() {
			now = uint64(t.UnixMilli())
		}
	}
	r, err := c.exchange(s.over, s, TypePing, le.AppendUint64(nil, now), answerTime)
	if err != nil {
		return err
	}
	// A loader may answer that it does not know PING: that is a sign of life too.
	if body, err := result(TypePing, r.payload); err == nil {
		if p, ok := decodePong(body); ok && !r.asked.IsZero() {
			c.mem.heard(p, s.clock.learn(p.uptime, r.asked))
		}
	}
	return nil
}

// finish ends a session, so that the keeper begins another one.
func (c *Conn) finish(s *session, why error) {
	c.mu.Lock()
	if c.current == s {
		c.replace(nil)
	}
	c.mu.Unlock()
	s.end(why)
}

// session waits for a session.
func (c *Conn) session(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		s, changed := c.current, c.changed
		c.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.life.Done():
			return nil, context.Cause(c.life)
		}
	}
}

// inForce is the session in force, or nil.
func (c *Conn) inForce() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// replace puts another session in force; c.mu is held.
func (c *Conn) replace(s *session) {
	c.current = s
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Conn) setStay(stay bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stay = stay
}

func (c *Conn) staying() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stay
}
