package link

import (
	"context"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	helloPause  = 250 * time.Millisecond // doubled up to mostPause
	mostPause   = 2 * time.Second
	stayPause   = 100 * time.Millisecond
	leastPause  = 50 * time.Millisecond  // however many greetings come
	loaderPause = 600 * time.Millisecond // a loader listens for 500 ms
)

// proposal is the HELLO under way.
type proposal struct {
	session uint16
	stay    bool
	number  uint16    // of the latest attempt
	sent    time.Time // when that was; zero: none was
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
	select {
	case <-c.late: // of the handshake before
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
		case <-c.late: // the answer to the latest attempt is behind it
			timer.Reset(mostPause)
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
	p.number, p.sent = c.mem.attempt(), time.Now()
	return Frame{version, TypeHello, p.session, p.number, greeting(p.stay)}, true
}

// leaving says that h comes from a loader which will start its image if it is left in
// peace for a moment.
func leaving(h Hello, stay bool) bool {
	return h.Role == Loader && h.Image == Confirmed && !stay
}

// takeHello takes a greeting, which ends the session in force, or the answer to the
// HELLO under way, which puts one in force at once: so nothing that comes behind
// either is taken for a part of the wrong one. The answer to an attempt but the latest is
// none: a microcontroller that is reset behind it would take up the session by the next
// attempt, which is under way, and nobody would know of the reset.
func (c *Conn) takeHello(f Frame) bool {
	h, ok := decodeHello(f)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.proposal
	ours := p != nil && !p.sent.IsZero() && f.Session == p.session
	if f.Session != 0 && (!ours || f.Number != p.number) {
		if ours {
			c.lateAnswer()
		}
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
		c.agreed <- c.install(p, h)
	}
	return true
}

// lateAnswer notes that an earlier attempt was answered, lest ever more of them overtake
// the answers of a slow line.
func (c *Conn) lateAnswer() {
	select {
	case c.late <- struct{}{}:
	default:
	}
}

// install puts a session in force, unless it is the first of all; c.mu is held.
func (c *Conn) install(p *proposal, h Hello) *session {
	start, fresh := c.mem.agree(h)
	if fresh {
		return nil
	}
	count := c.mem.began(start)
	s := newSession(c.life, p.session, h, p.stay)
	s.clock.learn(h.Uptime, p.sent)
	c.mem.inbox.begin(h, start, count)
	c.replace(s)
	return s
}
