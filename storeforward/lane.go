package storeforward

import (
	"math"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// epoch is a run of chunks that is dropped as a whole. It holds the sequence
// numbers from first up to, not including, next.
type epoch struct {
	number uint32
	first  uint64
	next   uint64
	bytes  int64
	newest stamp
}

// lane is one ordered line of messages. Queue.mu guards it.
type lane struct {
	LaneOptions
	name gateway.Lane
	// store is the id of the store that the messages were accepted by. It is
	// another one than the queue's in a lane that was inherited: one that the
	// queue found when its identity had to change, or that was salvaged. Such a
	// lane only drains.
	store  string
	number uint8
	// registered: the lane's number is on disk.
	registered bool

	// epochs, oldest first; the last is the tail, to which chunks are added.
	// There is always one.
	epochs []epoch
	// acked: every sequence number up to this one has left the queue.
	acked uint64
	// done are the sequence numbers above acked that have left already.
	done intervals

	// back reads from the oldest message on. While the lane is woven, live reads
	// from sequence number liveFrom on, and back ends there; else liveFrom is 0.
	back, live reader
	liveFrom   uint64
	turn       int

	// arrivals say when what waits was accepted, oldest first.
	arrivals []arrival

	// held: the lane is not handed out.
	held bool

	// gap is the last loss, which may still grow.
	gap *loss

	// What the cursor in epoch writtenIn says on disk.
	written   mark
	writtenIn uint32

	// doubt is the highest epoch that a failed transaction may have left on disk;
	// 0 if there is none.
	doubt uint32

	// credit is the lane's standing in the weighted round robin of Next.
	credit int
	count  laneCounters
}

// mark is what has left a lane.
type mark struct {
	acked uint64
	done  intervals
}

// with is the mark after the given spans have left too.
func (m mark) with(spans []span) mark {
	m.done = slices.Clone(m.done)
	for _, s := range spans {
		m.leave(s.first, s.last)
	}
	return m
}

// leave marks the numbers from first to last as gone; fresh is how many were
// not.
func (m *mark) leave(first, last uint64) (fresh uint64) {
	first = max(first, m.acked+1)
	if first > last {
		return 0
	}
	if first == m.acked+1 && len(m.done) == 0 { // nearly always
		m.acked = last
		return last - first + 1
	}
	fresh = m.done.add(first, last)
	if next := m.done.past(m.acked + 1); next > m.acked+1 {
		m.acked = next - 1
		m.done.cut(m.acked)
	}
	return fresh
}

// covers reports whether all numbers from first to last have left.
func (m mark) covers(first, last uint64) bool {
	return m.done.covers(max(first, m.acked+1), last)
}

// past is the first number from seq on that has not left.
func (m mark) past(seq uint64) uint64 { return m.done.past(max(seq, m.acked+1)) }

// before is the last number from seq on that has not left, seq itself being
// one of those.
func (m mark) before(seq uint64) uint64 {
	if i := m.done.at(seq); i < len(m.done) {
		return m.done[i].first - 1
	}
	return math.MaxUint64
}

// laneCounters count since the store was opened.
type laneCounters struct {
	accepted, acked uint64
	lost            map[gateway.GapReason]uint64
}

func (c laneCounters) allLost() (n uint64) {
	for _, some := range c.lost {
		n += some
	}
	return n
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

func (l *lane) mark() mark { return mark{l.acked, l.done} }

// dirty reports whether acknowledgements wait to be written.
func (l *lane) dirty() bool {
	return l.acked != l.written.acked || !slices.Equal(l.done.longest(), l.written.done)
}

// empty reports whether everything has left.
func (l *lane) empty() bool { return l.acked == l.next()-1 }

// drained reports whether nothing waits and closing the tail would free space.
func (l *lane) drained() bool { return l.empty() && l.tail().bytes >= rollBytes }

// waiting is the number of messages that are still to be acknowledged.
func (l *lane) waiting() uint64 { return waiting(l.mark(), l.next()) }

func waiting(m mark, next uint64) uint64 {
	return next - 1 - m.acked - m.done.count(m.acked+1, next-1)
}

// leave marks the sequence numbers from first to last as gone.
func (l *lane) leave(first, last uint64) (fresh uint64) {
	m := l.mark()
	fresh = m.leave(first, min(last, l.next()-1))
	l.acked, l.done = m.acked, m.done
	return fresh
}

// has reports whether a sequence number waits in the lane.
func (l *lane) has(seq uint64) bool {
	return seq > l.acked && seq < l.next() && !l.done.has(seq)
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

// passed lists the epochs that the cursor on disk has left behind, the tail
// excepted.
func (l *lane) passed() (list []epoch) {
	for _, e := range l.epochs[:len(l.epochs)-1] {
		if l.written.covers(e.first, e.next-1) {
			list = append(list, e)
		}
	}
	return list
}

// forget removes epochs that were dropped.
func (l *lane) forget(dropped []epoch) {
	l.epochs = slices.DeleteFunc(slices.Clone(l.epochs), func(e epoch) bool {
		return slices.ContainsFunc(dropped, func(d epoch) bool { return d.number == e.number })
	})
}

// oldest returns what is left of the oldest epoch that has messages waiting.
func (l *lane) oldest() (epoch, bool) {
	for _, e := range l.epochs {
		if e.next-1 > l.acked && !l.mark().covers(e.first, e.next-1) {
			return e, true
		}
	}
	return epoch{}, false
}

// id is the identity of the lane's message seq.
func (l *lane) id(seq uint64) gateway.MessageID {
	return gateway.MessageID{Store: l.store, Lane: l.name, Seq: seq}
}
