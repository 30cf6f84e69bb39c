package storeforward

import (
	"cmp"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// arrival says when messages were accepted: those behind the arrival before it, up to
// last, no later than at.
type arrival struct {
	last uint64
	at   stamp
}

// maxArrivals bounds what a lane remembers of them.
const maxArrivals = 128

// arrived notes when messages up to last were accepted.
func (l *lane) arrived(last uint64, at stamp) {
	l.arrivals = slices.DeleteFunc(l.arrivals, func(a arrival) bool { return a.last <= l.acked })
	if len(l.arrivals) == maxArrivals {
		l.forgetArrival()
	}
	i, known := slices.BinarySearchFunc(l.arrivals, last, func(a arrival, last uint64) int { return cmp.Compare(a.last, last) })
	if known {
		l.arrivals[i].at = at
	} else {
		l.arrivals = slices.Insert(l.arrivals, i, arrival{last, at})
	}
}

// forgetArrival forgets the arrival that makes the fewest messages seem younger than they
// are: those are taken for what came after them. The first one stays, so that the oldest
// message has its age for as long as nothing leaves the lane.
func (l *lane) forgetArrival() {
	fewest := 1
	joined := func(i int) uint64 { return l.arrivals[i+1].last - l.arrivals[i-1].last }
	for i := 2; i < len(l.arrivals)-1; i++ {
		if joined(i) < joined(fewest) {
			fewest = i
		}
	}
	l.arrivals = slices.Delete(l.arrivals, fewest, fewest+1)
}

// oldestAge is how long the oldest message of a lane has waited, at least; 0 if none
// waits. Queue.mu is held.
func (q *Queue) oldestAge(l *lane) time.Duration {
	i := slices.IndexFunc(l.arrivals, func(a arrival) bool { return a.last > l.acked })
	if l.empty() || i < 0 {
		return 0
	}
	return max(0, q.ages.of(l.arrivals[i].at))
}

// findOldest looks up when the oldest message of each lane was accepted: the cursors know
// only the newest of an epoch. What cannot be read is left to Next.
func (q *Queue) findOldest() {
	for _, l := range q.lanes {
		seq := l.acked + 1
		e, found := l.find(seq)
		if !found {
			continue
		}
		_ = q.engine.view(func(txn *badger.Txn) error {
			value, err := chunkAt(txn, l.number, e.number, seq)
			if err != nil || value == nil {
				return err
			}
			f, at, err := q.unpacker.accepted(value)
			if err == nil && f.last() >= seq {
				l.arrived(f.last(), at)
			}
			return err
		})
	}
}
