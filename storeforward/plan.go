package storeforward

import (
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// plan is one transaction being put together. Nothing of it shows in the
// lanes until it is committed.
type plan struct {
	store    string
	packer   *packer
	now      time.Time
	accepted time.Time // now, or zero if the clock is not to be trusted
	lanes    map[*lane]*lanePlan
	order    []*lanePlan
	puts     []keyValue
	deletes  [][]byte
}

// lanePlan is what the plan does to one lane.
type lanePlan struct {
	lane *lane
	// epochs are the tail as it will be and those begun behind it.
	epochs []epoch
	spans  []span
	// acked is what the lane's cursor will say.
	acked uint64
	fresh window
	chunk []byte
	start uint64 // sequence number of the chunk's first record
}

func newPlan(store string, clock Clock, packer *packer) *plan {
	p := &plan{store: store, packer: packer, now: clock.Now(), lanes: make(map[*lane]*lanePlan)}
	if clock.Trusted() {
		p.accepted = p.now
	}
	return p
}

// of returns the plan for a lane, begun on first use.
func (p *plan) of(l *lane) *lanePlan {
	lp := p.lanes[l]
	if lp == nil {
		lp = &lanePlan{lane: l, epochs: []epoch{*l.tail()}}
		lp.fresh.first = l.next()
		p.lanes[l] = lp
		p.order = append(p.order, lp)
		if !l.registered {
			p.puts = append(p.puts, keyValue{laneKey(l.name), []byte{l.number}})
		}
	}
	return lp
}

func (lp *lanePlan) tail() *epoch { return &lp.epochs[len(lp.epochs)-1] }

// add appends a message to its lane and returns its id.
func (p *plan) add(l *lane, m gateway.Message) gateway.MessageID {
	lp := p.of(l)
	if len(lp.chunk) > 0 && len(lp.chunk)+recordSize(m) > chunkBytes {
		p.flush(lp)
	}
	if lp.tail().bytes >= epochBytes {
		lp.roll()
	}
	t := lp.tail()
	if len(lp.chunk) == 0 {
		lp.start = t.next
	}
	m.ID = l.id(p.store, t.next)
	r := record{message: m, accepted: p.accepted}
	lp.chunk = appendRecord(lp.chunk, r)
	lp.fresh.records = append(lp.fresh.records, r)
	t.next++
	t.newest = p.accepted
	return m.ID
}

// flush turns the records gathered for a lane into a chunk.
func (p *plan) flush(lp *lanePlan) {
	if len(lp.chunk) == 0 {
		return
	}
	packed := p.packer.pack(lp.chunk)
	lp.tail().bytes += int64(len(packed))
	p.puts = append(p.puts, keyValue{chunkKey(lp.lane.number, lp.tail().number, lp.start), packed})
	lp.chunk = lp.chunk[:0]
}

// roll begins a new epoch, so that the old ones can be dropped.
func (lp *lanePlan) roll() {
	t := lp.tail()
	lp.epochs = append(lp.epochs, epoch{number: t.number + 1, first: t.next, next: t.next})
}

// finish closes the chunks and adds the cursors. Queue.mu is held.
func (p *plan) finish() {
	for _, lp := range p.order {
		p.flush(lp)
		lp.acked = lp.lane.ackedAfter(lp.spans)
		for _, e := range lp.epochs {
			c := cursor{acked: min(lp.acked, e.next-1), next: e.next, first: e.first, bytes: e.bytes, newest: e.newest}
			p.puts = append(p.puts, keyValue{cursorKey(lp.lane.number, e.number), c.encode()})
		}
	}
}

// apply makes the committed plan visible and returns the size of the bodies in
// it. Queue.mu is held.
func (p *plan) apply() (accepted uint64) {
	for _, lp := range p.order {
		l := lp.lane
		l.registered = true
		l.writtenAcked, l.writtenIn = lp.acked, lp.tail().number
		l.epochs = append(l.epochs[:len(l.epochs)-1], lp.epochs...)
		caughtUp := l.head == lp.fresh.first
		for _, s := range lp.spans {
			l.count.lost += l.ack(s.first, s.last)
		}
		if caughtUp && len(lp.fresh.records) > 0 {
			l.window = lp.fresh
		}
		l.count.accepted += uint64(len(lp.fresh.records))
		for _, r := range lp.fresh.records {
			accepted += uint64(len(r.message.Body))
		}
	}
	return accepted
}
