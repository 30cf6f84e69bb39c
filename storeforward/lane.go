package storeforward

import (
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// epoch is a run of chunks that is dropped as a whole. It holds the sequence
// numbers from first up to, not including, next.
type epoch struct {
	number uint32
	first  uint64
	next   uint64
	bytes  int64
	newest time.Time
}

// lane is one ordered line of messages. Queue.mu guards it.
type lane struct {
	LaneOptions
	name   gateway.Lane
	number uint8
	// registered: the lane's number is on disk.
	registered bool

	// epochs, oldest first; the last is the tail, to which chunks are added.
	// There is always one.
	epochs []epoch
	// acked: every sequence number up to this one has left the queue.
	acked uint64
	// ahead are the sequence numbers above acked that have left already.
	ahead map[uint64]struct{}
	// head is the next sequence number to hand out.
	head uint64
	// window are the records at and behind the head, decoded.
	window window

	// writtenAcked is acked as it stands on disk, in the cursor of epoch writtenIn.
	writtenAcked uint64
	writtenIn    uint32

	// credit is the lane's standing in the weighted round robin of Next.
	credit int
	count  laneCounters
}

// laneCounters count since the store was opened.
type laneCounters struct {
	accepted, acked, lost uint64
}

// window is a decoded piece of a lane, beginning at sequence number first.
type window struct {
	first   uint64
	records []record
}

// at returns the record with the given sequence number.
func (w *window) at(seq uint64) (record, bool) {
	if seq < w.first || seq >= w.first+uint64(len(w.records)) {
		return record{}, false
	}
	return w.records[seq-w.first], true
}

func (l *lane) tail() *epoch { return &l.epochs[len(l.epochs)-1] }

func (l *lane) next() uint64 { return l.tail().next }

// bytes is the size of all chunks that are still on disk.
func (l *lane) bytes() (sum int64) {
	for _, e := range l.epochs {
		sum += e.bytes
	}
	return sum
}

// dirty reports whether acknowledgements wait to be written.
func (l *lane) dirty() bool { return l.acked != l.writtenAcked }

// drained reports whether nothing waits and closing the tail would free space.
func (l *lane) drained() bool { return l.acked == l.next()-1 && l.tail().bytes >= rollBytes }

// waiting is the number of messages that are still to be acknowledged.
func (l *lane) waiting() uint64 { return l.next() - 1 - l.acked - uint64(len(l.ahead)) }

// ack marks the sequence numbers from first to last as gone.
func (l *lane) ack(first, last uint64) (fresh uint64) {
	last = min(last, l.next()-1)
	if first <= l.acked+1 && last > l.acked {
		fresh = last - l.acked
		for seq := range l.ahead {
			if seq <= last {
				delete(l.ahead, seq)
				fresh--
			}
		}
		l.acked = last
		for l.gone(l.acked + 1) {
			l.acked++
			delete(l.ahead, l.acked)
		}
		l.head = max(l.head, l.acked+1)
		return fresh
	}
	for seq := max(first, l.acked+1); seq <= last; seq++ {
		if !l.gone(seq) {
			l.ahead[seq] = struct{}{}
			fresh++
		}
	}
	return fresh
}

// ackedAfter is what acked would become if the given spans were gone too.
func (l *lane) ackedAfter(spans []span) uint64 {
	acked := l.acked
	for moved := true; moved; {
		moved = false
		for _, s := range spans {
			if s.first <= acked+1 && s.last > acked {
				acked, moved = s.last, true
			}
		}
		for l.gone(acked + 1) {
			acked++
			moved = true
		}
	}
	return acked
}

// skipAcked moves the head over what has left already.
func (l *lane) skipAcked() {
	for l.gone(l.head) {
		l.head++
	}
}

// gone reports whether a sequence number above acked has left already.
func (l *lane) gone(seq uint64) bool {
	_, gone := l.ahead[seq]
	return gone
}

// find returns the epoch that holds a sequence number.
func (l *lane) find(seq uint64) (epoch, bool) {
	for _, e := range l.epochs {
		if seq >= e.first && seq < e.next {
			return e, true
		}
	}
	return epoch{}, false
}

// passed is the number of epochs, oldest first, that the cursor on disk has left behind.
func (l *lane) passed() int {
	n := 0
	for n < len(l.epochs)-1 && l.epochs[n].next-1 <= l.writtenAcked {
		n++
	}
	return n
}

// expired returns what is left of the oldest epoch if all of it has outlived
// the lane's TTL.
func (l *lane) expired(now time.Time) (span, bool) {
	for _, e := range l.epochs {
		if e.next-1 <= l.acked {
			continue
		}
		if e.newest.IsZero() || now.Sub(e.newest) < l.TTL {
			return span{}, false
		}
		return span{lane: l, first: l.acked + 1, last: e.next - 1, reason: gateway.GapExpired}, true
	}
	return span{}, false
}

// oldest returns what is left of the oldest epoch that has messages waiting.
func (l *lane) oldest() (span, bool) {
	for _, e := range l.epochs {
		if e.next-1 > l.acked {
			return span{lane: l, first: l.acked + 1, last: e.next - 1, reason: gateway.GapOverflow}, true
		}
	}
	return span{}, false
}

// id is the identity of the lane's message seq in the given store.
func (l *lane) id(store string, seq uint64) gateway.MessageID {
	return gateway.MessageID{Store: store, Lane: l.name, Seq: seq}
}
