package link

import (
	"sync"
	"time"
)

const (
	// mostEvents is how many events wait for whoever takes them. The microcontroller
	// keeps the readings above that, and sends them again.
	mostEvents = 32
	// repeatPause is how long the same repetition is not asked for again.
	repeatPause = 100 * time.Millisecond
)

// inbox puts what the microcontroller tells in order, until somebody takes it.
type inbox struct {
	mu    sync.Mutex
	queue []entry
	hand  *entry        // what is being taken
	more  chan struct{} // holds one token after the queue has grown

	known bool   // there was a session
	epoch uint64 // counts numberings of readings; a reset begins a new one
	// expected is the next number to come, taken the next one to be taken.
	expected, taken uint32
	repeat          bool // a repetition is due
	refused         bool // a frame was dropped since the queue was full
	askedFor        uint32
	askedAt         time.Time
	nextLine        uint16
	numbered        bool // nextLine is known
}

// entry is an event with the number behind it, if it moves that.
type entry struct {
	event Event
	epoch uint64
	moves bool
	next  uint32
}

// begin notes that a session has begun.
func (in *inbox) begin(h Hello, start Start, count uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	b := Began{Hello: h, Start: start, Session: count, Known: in.known, Before: in.expected}
	if start != Resumed {
		in.epoch++
		in.expected, in.taken = h.Next, h.Next
		in.nextLine, in.numbered = 0, start == Booted
		in.repeat, in.refused, in.askedAt = false, false, time.Time{}
	}
	in.known = true
	if n := len(in.queue); n > 0 { // nobody has heard of the last one yet
		if last, ok := in.queue[n-1].event.(Began); ok {
			in.queue = in.queue[:n-1]
			b = b.After(last)
		}
	}
	in.push(entry{event: b, epoch: in.epoch})
}

// receive takes READINGS in. It says how many readings are new and how many are
// lost for good, and whether an ACK is due.
func (in *inbox) receive(b batch, when func(uptime uint32) time.Time) (fresh, lost uint32, ack bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queue)+2 > mostEvents {
		in.refused = true
		return 0, 0, false
	}
	if oldest := b.first - uint32(b.held); ahead(oldest, in.expected) {
		gap := Gap{in.expected, oldest - 1}
		in.expected, lost = oldest, gap.Count()
		in.push(entry{gap, in.epoch, true, oldest})
	}
	if ahead(b.first, in.expected) {
		return 0, lost, in.ask()
	}
	known := in.expected - b.first
	if known >= uint32(len(b.items)) {
		return 0, lost, true
	}
	readings := make(Readings, 0, len(b.items))
	for i, it := range b.items[known:] {
		readings = append(readings, Reading{in.expected + uint32(i), it.channel, when(b.time + uint32(it.delay)), it.value})
	}
	fresh = uint32(len(readings))
	in.expected += fresh
	in.push(entry{readings, in.epoch, true, in.expected})
	return fresh, lost, false
}

// ask notes that what is expected is to be sent again, unless that was asked for
// just now.
func (in *inbox) ask() bool {
	now := time.Now()
	if in.askedFor == in.expected && now.Sub(in.askedAt) < repeatPause {
		return false
	}
	in.askedFor, in.askedAt, in.repeat = in.expected, now, true
	return true
}

// receiveLine takes a LOG in. Above what the queue holds lines are lost.
func (in *inbox) receiveLine(number uint16, l Line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queue)+2 > mostEvents {
		return
	}
	if in.numbered {
		l.Lost = number - in.nextLine
	}
	in.nextLine, in.numbered = number+1, true
	in.push(entry{event: l})
}

func (in *inbox) push(e entry) {
	in.queue = append(in.queue, e)
	select {
	case in.more <- struct{}{}:
	default:
	}
}

// front is the oldest event. It stays that until done is called.
func (in *inbox) front() (Event, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.hand == nil {
		if len(in.queue) == 0 {
			return nil, false
		}
		e := in.queue[0]
		in.hand, in.queue = &e, in.queue[1:]
	}
	return in.hand.event, true
}

// done says that the front was taken, and answers whether an ACK is due.
func (in *inbox) done() (ack bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	e := in.hand
	in.hand = nil
	if in.refused {
		in.refused, in.repeat = false, true
	}
	if e.moves && e.epoch == in.epoch {
		in.taken = e.next
		return true
	}
	return in.repeat
}

// ack is the payload of the ACK that is due.
func (in *inbox) ack() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	payload := append(le.AppendUint32(nil, in.taken), 0)
	if in.repeat {
		in.repeat = false
		payload[4] = 1
	}
	return payload
}

// ahead says that a is later than b, modulo 2^32.
func ahead(a, b uint32) bool { return int32(a-b) > 0 }
