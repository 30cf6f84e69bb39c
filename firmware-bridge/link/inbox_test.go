package link

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// tray is an inbox that was begun.
func tray(next uint32) *inbox {
	in := NewMemory()
	in.inbox.begin(Hello{Next: next}, Booted, 1)
	in.inbox.front()
	in.inbox.done()
	return &in.inbox
}

// come lets n readings come, with held older ones.
func (in *inbox) come(first uint32, held uint16, n int) (fresh, lost uint32, ack bool) {
	return in.receive(batch{first: first, held: held, items: make([]item, n)}, func(uint32) time.Time { return time.Time{} })
}

// told takes everything out.
func (in *inbox) told() (events []string) {
	for {
		e, ok := in.front()
		if !ok {
			return events
		}
		switch e := e.(type) {
		case Readings:
			events = append(events, fmt.Sprint(e[0].Number, "+", len(e)))
		case Gap:
			events = append(events, fmt.Sprint(e.First, "-", e.Last))
		case Began:
			events = append(events, fmt.Sprint("began ", e.Start, " ", e.Before))
		case Line:
			events = append(events, fmt.Sprint(e.Lost))
		}
		in.done()
	}
}

// TestInbox: what comes of readings in an order that lines and overflows make.
func TestInbox(t *testing.T) {
	type frame struct {
		first uint32
		held  uint16
		n     int
	}
	for name, c := range map[string]struct {
		next   uint32
		frames []frame
		told   string
		acked  uint32
		repeat byte
	}{
		"in order":                 {0, []frame{{0, 0, 2}, {2, 0, 3}}, "[0+2 2+3]", 5, 0},
		"twice":                    {0, []frame{{0, 0, 2}, {0, 0, 2}}, "[0+2]", 2, 0},
		"overlapping":              {0, []frame{{0, 0, 2}, {0, 0, 5}}, "[0+2 2+3]", 5, 0},
		"one missing, still held":  {0, []frame{{0, 0, 2}, {4, 4, 2}}, "[0+2]", 2, 1},
		"one missing, then it":     {0, []frame{{0, 0, 2}, {4, 2, 2}, {2, 0, 2}, {4, 2, 2}}, "[0+2 2+2 4+2]", 6, 1},
		"lost":                     {0, []frame{{0, 0, 2}, {5, 0, 1}}, "[0+2 2-4 5+1]", 6, 0},
		"lost, and one missing":    {0, []frame{{7, 2, 1}, {5, 0, 2}}, "[0-4 5+2]", 7, 1},
		"lost before the first":    {10, []frame{{12, 0, 1}}, "[10-11 12+1]", 13, 0},
		"around the end":           {0xFFFFFFFE, []frame{{0xFFFFFFFE, 0, 3}, {1, 0, 1}}, "[4294967294+3 1+1]", 2, 0},
		"lost around the end":      {0xFFFFFFFF, []frame{{2, 0, 1}}, "[4294967295-1 2+1]", 3, 0},
		"held more than there are": {0, []frame{{0, 9, 1}}, "[0+1]", 1, 0},
	} {
		in := tray(c.next)
		for _, f := range c.frames {
			in.come(f.first, f.held, f.n)
		}
		if got := fmt.Sprint(in.told()); got != c.told {
			t.Errorf("%s: %s is told, want %s", name, got, c.told)
		}
		if p := in.ack(); le.Uint32(p) != c.acked || p[4] != c.repeat {
			t.Errorf("%s: the ACK is %x, want next %d and repeat %d", name, p, c.acked, c.repeat)
		}
	}
}

// TestInboxFull: what does not fit is not taken, and asked for when there is room.
func TestInboxFull(t *testing.T) {
	in := tray(0)
	for n := range uint32(100) {
		in.come(n, 0, 1)
		in.receiveLine(uint16(n), Line{})
	}
	if n := len(in.queue); n > mostEvents {
		t.Errorf("%d events wait", n)
	}
	in.front()
	if ack := in.done(); !ack {
		t.Error("no ACK is due when there is room")
	}
	if p := in.ack(); le.Uint32(p) != 1 || p[4] != 1 {
		t.Errorf("the ACK is %x, want a repetition", p)
	}
	if p := in.ack(); p[4] != 0 {
		t.Error("the repetition is asked for twice")
	}
}

// TestInboxReset: numbers of before a reset are not acknowledged after it.
func TestInboxReset(t *testing.T) {
	in := tray(0)
	in.come(0, 0, 9)
	in.begin(Hello{}, Booted, 1)
	in.come(0, 0, 1)
	for i, want := range []uint32{0, 0, 1} {
		in.front()
		in.done()
		if got := le.Uint32(in.ack()); got != want {
			t.Errorf("after event %d what is next is %d, want %d", i+1, got, want)
		}
	}
}

// TestInboxAsksOnce: a repetition is asked for once for what is missing, until some
// time has passed.
func TestInboxAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := tray(0)
		for i, want := range []bool{true, false, false, true} {
			if _, _, ack := in.come(5, 5, 1); ack != want {
				t.Errorf("frame %d: %v, want %v", i+1, ack, want)
			}
			time.Sleep(40 * time.Millisecond)
		}
	})
}
