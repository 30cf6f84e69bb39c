package link

import (
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

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
