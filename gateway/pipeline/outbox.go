package pipeline

import (
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// What one Append carries at most.
const (
	maxGroupMessages = 64
	maxGroupBytes    = 128 << 10
)

// sealed is a message that is complete and waits for the queue.
type sealed struct {
	message  gateway.Message
	readings int
	// stored is called once the message is durable; it may be nil.
	stored func()
}

// outbox holds sealed messages, oldest first, within a bound.
type outbox struct {
	maxBytes int
	waiting  []sealed
	// lent is how many of the oldest are in an Append now; those cannot be
	// dropped, since the queue may have them already.
	lent  int
	bytes int
}

// put adds a message and returns what had to go to make room for it.
func (o *outbox) put(s sealed) (dropped []sealed) {
	o.waiting = append(o.waiting, s)
	o.bytes += len(s.message.Body)
	end := o.lent
	for size := o.bytes; size > o.maxBytes && end < len(o.waiting)-1; end++ {
		size -= len(o.waiting[end].message.Body)
	}
	return o.remove(o.lent, end)
}

// lend returns the oldest messages, at most limit, for one Append. They stay
// until settle.
func (o *outbox) lend(limit int) []sealed {
	size, n := 0, 0
	for n < min(limit, len(o.waiting)) {
		size += len(o.waiting[n].message.Body)
		if n > 0 && size > maxGroupBytes {
			break
		}
		n++
	}
	o.lent = n
	return slices.Clone(o.waiting[:n])
}

// settle ends a loan: what was lent is gone, or is to be tried again.
func (o *outbox) settle(gone bool) {
	n := o.lent
	o.lent = 0
	if gone {
		o.remove(0, n)
	}
}

// clear empties the outbox and returns what was in it.
func (o *outbox) clear() []sealed { return o.remove(0, len(o.waiting)) }

func (o *outbox) remove(from, to int) []sealed {
	gone := slices.Clone(o.waiting[from:to])
	for _, s := range gone {
		o.bytes -= len(s.message.Body)
	}
	o.waiting = slices.Delete(o.waiting, from, to)
	return gone
}
