package storeforward

import (
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// plan is one transaction being put together. Nothing of it shows in the
// lanes until it is committed.
type plan struct {
	packer  *packer
	number  uint32 // of the transaction
	epoch   int64  // bytes from which an epoch is closed
	now     time.Time
	boot    string // if now is undated
	stamp   stamp
	gaps    *lane // takes the gap records
	order   []*lanePlan
	puts    []keyValue
	deletes [][]byte
}

// lanePlan is what the plan does to one lane.
type lanePlan struct {
	lane *lane
	// epochs are the tail as it will be and those begun behind it.
	epochs []epoch
	spans  []span
	gap    *loss
	// mark is what the lane's cursor will say.
	mark mark
	// drafts are the messages added, which are not chunks yet.
	drafts []draft
	// added is how many they are, bodies the size of their bodies.
	added, bodies uint64
	// shown: the lane's reader waits for what is added. It gets the messages as
	// they are, in fresh.
	shown bool
	fresh window
}

// draft is a chunk that is not packed yet.
type draft struct {
	epoch   int // of the lane plan's
	frame   frame
	records []byte
	packed  []byte // the buffer that the payload was put into
}

func (c *committer) newPlan() *plan {
	p := &plan{
		packer: c.packer, epoch: c.opts.epochBytes, now: c.opts.Clock.Now(), stamp: c.ages.stamp(),
		gaps: c.own[gateway.LaneGaps],
	}
	if _, undated := gateway.Uptime(p.now); undated {
		p.boot = c.opts.Clock.Boot()
	}
	return p
}

// planned returns the plan for a lane, if there is one.
func (p *plan) planned(l *lane) *lanePlan {
	for _, lp := range p.order {
		if lp.lane == l {
			return lp
		}
	}
	return nil
}

// of returns the plan for a lane, begun on first use.
func (p *plan) of(l *lane) *lanePlan {
	lp := p.planned(l)
	if lp == nil {
		lp = &lanePlan{lane: l, epochs: []epoch{*l.tail()}}
		if l.gap != nil {
			gap := *l.gap
			lp.gap = &gap
		}
		lp.disown()
		lp.fresh = window{first: l.next(), stamp: p.stamp}
		p.order = append(p.order, lp)
		if !l.registered {
			p.puts = append(p.puts, keyValue{laneKey(l.number), laneFrame(l)})
		}
	}
	return lp
}

func (lp *lanePlan) tail() *epoch { return &lp.epochs[len(lp.epochs)-1] }

// add appends a message to its lane and returns its id.
func (p *plan) add(lp *lanePlan, m gateway.Message) gateway.MessageID {
	d := p.draft(lp, recordSize(m))
	d.records = appendRecord(d.records, m)
	d.frame.count++
	t := lp.tail()
	m.ID = lp.lane.id(t.next)
	t.next++
	t.newest = p.stamp
	lp.added++
	lp.bodies += uint64(len(m.Body))
	if lp.shown {
		lp.fresh.messages = append(lp.fresh.messages, m)
	}
	return m.ID
}

// draft is the chunk that the lane's next message goes into.
func (p *plan) draft(lp *lanePlan, size int) *draft {
	if n := len(lp.drafts); n > 0 {
		d := &lp.drafts[n-1]
		if d.epoch == len(lp.epochs)-1 && d.frame.last()+1 == lp.tail().next && len(d.records)+size <= chunkBytes {
			return d
		}
	}
	if lp.tail().bytes >= p.epoch {
		lp.roll()
	}
	t := lp.tail()
	lp.drafts = append(lp.drafts, draft{
		epoch: len(lp.epochs) - 1, records: p.packer.buffer(),
		frame: frame{kind: frameChunk, store: lp.lane.store, lane: lp.lane.number, epoch: t.number, first: t.next},
	})
	return &lp.drafts[len(lp.drafts)-1]
}

// pack makes chunks of the drafts.
func (p *plan) pack() {
	var drafts []*draft
	for _, lp := range p.order {
		for i := range lp.drafts {
			drafts = append(drafts, &lp.drafts[i])
		}
	}
	p.packer.packAll(drafts, p.stamp)
	for _, lp := range p.order {
		for _, d := range lp.drafts {
			p.put(&lp.epochs[d.epoch], d.frame)
		}
	}
}

func (p *plan) put(t *epoch, f frame) {
	value := p.packer.value(f)
	t.bytes += int64(len(value))
	p.puts = append(p.puts, keyValue{chunkKey(f.lane, f.epoch, f.first), value})
}

// bring adds a chunk that was salvaged, as it is. What is missing before it is
// lost.
func (p *plan) bring(l *lane, c salvaged) {
	lp := p.of(l)
	if lp.tail().bytes >= p.epoch {
		lp.roll()
	}
	p.skip(l, c.first)
	if c.count == 0 {
		return
	}
	f := c.frame
	f.lane, f.epoch = l.number, lp.tail().number
	p.put(lp.tail(), f)
	lp.tail().next = f.last() + 1
	lp.tail().newest = p.stamp
}

// skip makes next the lane's next sequence number and gives up those between.
func (p *plan) skip(l *lane, next uint64) {
	t := p.of(l).tail()
	if next <= t.next {
		return
	}
	first := t.next
	t.next = next
	p.lose(span{lane: l, first: first, last: next - 1, reason: gateway.GapDamaged})
}

// lose gives up what a span still holds and explains it.
func (p *plan) lose(s span) {
	lp := p.of(s.lane)
	m := lp.lane.mark().with(lp.spans)
	for first := m.past(s.first); first <= s.last; {
		part := s
		part.first, part.last = first, min(s.last, m.before(first))
		p.loseAll(lp, part)
		first = m.past(part.last + 1)
	}
}

func (p *plan) loseAll(lp *lanePlan, s span) {
	lp.spans = append(lp.spans, s)
	if s.reason == Removed {
		return
	}
	now := time.Now()
	if lp.gap != nil && lp.gap.continues(s) {
		lp.gap.last, lp.gap.grew = s.last, now
		return
	}
	p.tell(lp)
	lp.gap = &loss{
		interval: interval{s.first, s.last}, reason: s.reason, detail: s.detail,
		time: p.now, boot: p.boot, began: now, grew: now,
	}
}

// tell turns the loss of a lane into a gap record.
func (p *plan) tell(lp *lanePlan) {
	if lp.gap != nil {
		p.add(p.of(p.gaps), gapMessage(lp.gap.gap(lp.lane)))
		lp.gap = nil
	}
}

// trim gives up the oldest messages of lanes that hold too many.
func (p *plan) trim() {
	for _, lp := range p.order {
		l := lp.lane
		if l.MaxMessages == 0 || l.Overflow != DropOldest {
			continue
		}
		m := l.mark().with(lp.spans)
		excess := int64(waiting(m, lp.tail().next)) - l.MaxMessages
		for seq := m.acked + 1; excess > 0; {
			last := min(seq+uint64(excess)-1, m.before(seq))
			p.lose(span{lane: l, first: seq, last: last, reason: gateway.GapOverflow})
			excess -= int64(last - seq + 1)
			seq = m.past(last + 1)
		}
	}
}

// roll begins a new epoch, so that the old ones can be dropped.
func (lp *lanePlan) roll() {
	t := lp.tail()
	lp.epochs = append(lp.epochs, epoch{number: t.number + 1, first: t.next, next: t.next, newest: t.newest})
}

// enter puts what the plan writes into a transaction.
func (p *plan) enter(txn *badger.Txn) error {
	for _, kv := range p.puts {
		if err := txn.Set(kv.key, kv.value); err != nil {
			return err
		}
	}
	for _, key := range p.deletes {
		if err := txn.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// size is how much that is, in bytes.
func (p *plan) size() (n int) {
	for _, kv := range p.puts {
		n += len(kv.key) + len(kv.value)
	}
	return n
}

// finish adds the cursors. Queue.mu is held.
func (p *plan) finish() {
	for _, lp := range p.order {
		p.putGap(lp)
		lp.mark = lp.lane.mark().with(lp.spans)
		lp.mark.done = lp.mark.done.longest()
		for i, e := range lp.epochs {
			c := cursor{
				lane: lp.lane.name, acked: min(lp.mark.acked, e.next-1),
				next: e.next, first: e.first, bytes: e.bytes, newest: e.newest,
			}
			if i == len(lp.epochs)-1 {
				c.done = lp.mark.done
			}
			f := frame{kind: frameCursor, store: lp.lane.store, lane: lp.lane.number, epoch: e.number, count: p.number, payload: c.encode()}
			p.puts = append(p.puts, keyValue{cursorKey(f.lane, e.number), p.packer.value(f)})
		}
	}
}

func (p *plan) putGap(lp *lanePlan) {
	switch {
	case lp.gap != nil && (lp.lane.gap == nil || lp.lane.gap.interval != lp.gap.interval):
		p.puts = append(p.puts, keyValue{gapKey(lp.lane.number), p.packer.sealer.seal(lossFrame(lp.lane, lp.gap)).encode()})
	case lp.gap == nil && lp.lane.gap != nil:
		p.deletes = append(p.deletes, gapKey(lp.lane.number))
	}
}

// disown sees to it that nothing is ever read of what a failed transaction may
// have left: its epochs become empty, and the lane goes on behind them.
func (lp *lanePlan) disown() {
	for lp.lane.doubt > 0 && lp.tail().number <= lp.lane.doubt {
		lp.roll()
	}
}

// apply makes the committed plan visible and returns the size of the bodies in
// it. Queue.mu is held.
func (p *plan) apply() (accepted uint64) {
	for _, lp := range p.order {
		l := lp.lane
		l.registered = true
		l.written, l.writtenIn = lp.mark, lp.tail().number
		l.epochs = append(l.epochs[:len(l.epochs)-1], lp.epochs...)
		if last := l.next() - 1; last >= lp.fresh.first {
			l.arrived(last, p.stamp)
		}
		l.gap, l.doubt = lp.gap, 0
		front := l.front()
		caughtUp := front.head == lp.fresh.first
		for _, s := range lp.spans {
			l.count.lost[s.reason] += l.leave(s.first, s.last)
		}
		if caughtUp && len(lp.fresh.messages) > 0 {
			front.window = lp.fresh
		}
		l.count.accepted += lp.added
		accepted += lp.bodies
	}
	return accepted
}
