package storeforward

import "github.com/fieldpost/fieldpost/gateway"

// reader hands a lane out in order.
type reader struct {
	// head is the next sequence number to hand out.
	head   uint64
	window window
}

// take hands out the message at the head, if it is in memory.
func (r *reader) take(l *lane) gateway.Message {
	m, _ := r.window.at(r.head)
	m.ID = l.id(r.head)
	r.head++
	if r.head == r.window.next() {
		r.window = window{} // let go of the memory
	}
	l.turn++
	return m
}

// Backfill says in which order a lane is handed out after an outage.
type Backfill string

const (
	// BackfillOrder hands out strictly in the order of acceptance.
	BackfillOrder Backfill = "order"
	// BackfillWeave hands out, for each message of the backlog, three that came
	// after the link was back, each row in its order, until they meet. So a
	// large backlog does not hide what is happening now.
	BackfillWeave Backfill = "weave"
)

const (
	// weaveFrom is how many messages make a backlog worth weaving.
	weaveFrom = 256
	// weaveTurns is the length of a round, of which the backlog gets one.
	weaveTurns = 4
)

// rewind makes the lane start again at the oldest message that waits, when a
// link is new. A lane that is woven already goes on so, unless its newer row
// has itself become a backlog.
func (l *lane) rewind() {
	l.back = reader{head: l.acked + 1, window: l.back.window}
	l.live.window = window{}
	if l.Backfill != BackfillWeave {
		return
	}
	next := l.next()
	if l.liveFrom > 0 && waiting(mark{acked: l.liveFrom - 1, done: l.done}, next) < weaveFrom {
		l.live.head = l.liveFrom
		return
	}
	l.liveFrom = 0
	if l.waiting() >= weaveFrom {
		l.liveFrom = next
		l.live.head = next
	}
}

// pick is the reader that goes next; nil if nothing is to be handed out.
func (l *lane) pick() *reader {
	l.back.head = l.mark().past(l.back.head)
	l.live.head = l.mark().past(l.live.head)
	if l.liveFrom > 0 && l.back.head >= l.liveFrom { // they have met
		l.back, l.live, l.liveFrom = l.live, reader{}, 0
	}
	switch {
	case l.liveFrom > 0 && l.live.head < l.next() && l.turn%weaveTurns != 0:
		return &l.live
	case l.back.head < l.next():
		return &l.back
	}
	return nil
}

// front is the reader that meets new messages.
func (l *lane) front() *reader {
	if l.liveFrom > 0 {
		return &l.live
	}
	return &l.back
}
