package link

import (
	"context"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	helloPause  = 250 * time.Millisecond // doubled up to mostPause
	stayPause   = 100 * time.Millisecond
	mostPause   = 2 * time.Second
	leastPause  = 50 * time.Millisecond  // however many greetings come
	loaderPause = 600 * time.Millisecond // a loader listens for 500 ms
)

// proposal is the HELLO under way.
type proposal struct {
	session uint16
	stay    bool
	sent    []time.Time // when each attempt was sent
}

// handshake sends HELLO until it is answered. It returns no session if that was the
// first of all.
func (c *Conn) handshake() (*session, error) {
	ctx, cancel := context.WithTimeoutCause(c.life, c.patience,
		fmt.Errorf("no microcontroller has answered for %v: %w", c.patience, gateway.ErrTimeout))
	defer cancel()
	stay := c.staying()
	c.propose(&proposal{session: c.mem.propose(), stay: stay})
	pause := helloPause
	if stay {
		pause = stayPause
	}
	wait := time.Duration(0)
	select {
	case g := <-c.greeted:
		if leaving(g, stay) {
			wait = loaderPause
		}
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-timer.C:
			last = time.Now()
			timer.Reset(pause)
			if !stay {
				pause = min(2*pause, mostPause)
			}
			if f, open := c.attempt(); open {
				if err := c.send(f); err != nil {
					return nil, err
				}
			}
		case g := <-c.greeted:
			if leaving(g, stay) {
				timer.Reset(loaderPause)
			} else if time.Since(last) >= leastPause {
				timer.Reset(0)
			}
		case s := <-c.agreed:
			return s, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// propose begins a HELLO.
func (c *Conn) propose(p *proposal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proposal = p
}

// attempt is the next HELLO to send, unless it was answered.
func (c *Conn) attempt() (f Frame, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.proposal
	if p == nil {
		return Frame{}, false
	}
	p.sent = append(p.sent, time.Now())
	return Frame{version, TypeHello, p.session, uint16(len(p.sent)), greeting(p.stay)}, true
}

// leaving says that h comes from a loader which will start its image if it is left in
// peace for a moment.
func leaving(h Hello, stay bool) bool {
	return h.Role == Loader && h.Image == Confirmed && !stay
}

// takeHello takes a greeting, which ends the session in force, or the answer to the
// HELLO under way, which puts one in force at once: so nothing that comes behind
// either is taken for a part of the wrong one.
func (c *Conn) takeHello(f Frame) bool {
	h, ok := decodeHello(f)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.proposal
	answer := p != nil && f.Session == p.session && f.Number >= 1 && int(f.Number) <= len(p.sent)
	if f.Session != 0 && !answer {
		return false
	}
	select {
	case <-c.greeted: // a greeting that came before says nothing new
	default:
	}
	switch {
	case f.Session == 0 || leaving(h, p.stay):
		if s := c.current; s != nil {
			c.replace(nil)
			s.end(ErrReset)
		}
		c.greeted <- h
	case h.Lowest > version || h.Highest < version:
		c.fail(fmt.Errorf("the microcontroller speaks versions %d to %d of the link, the gateway speaks %d: %w",
			h.Lowest, h.Highest, version, gateway.ErrInvalid))
	default:
		c.proposal = nil
		c.agreed <- c.install(p, h, p.sent[f.Number-1])
	}
	return true
}

// install puts a session in force, unless it is the first of all; c.mu is held.
func (c *Conn) install(p *proposal, h Hello, sent time.Time) *session {
	start, fresh := c.mem.agree(h)
	if fresh {
		return nil
	}
	count := uint64(0)
	c.mem.count(func(s *Stats) {
		s.Sessions++
		count = s.Sessions
		if start == Booted {
			s.Resets++
		}
	})
	s := newSession(c.life, p.session, h, p.stay)
	s.clock.learn(h.Uptime, sent)
	c.mem.inbox.begin(h, start, count)
	c.replace(s)
	return s
}
