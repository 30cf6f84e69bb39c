package storeforward

import (
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// idleTick is how often the committer looks for acknowledgements to write,
	// epochs to drop and messages that have expired.
	idleTick = time.Second
	// rollBytes is the size from which an epoch whose messages have all left is
	// closed, so that its space comes free while the lane is idle.
	rollBytes = 256 << 10
)

// committer owns every write to the store.
type committer struct {
	*Queue
	packer     *packer
	lastCommit time.Time
	lastSweep  time.Time
	// carry did not fit into the last group and begins the next.
	carry *request
}

// run ends after Close, when everything handed over has been answered.
func (c *committer) run() {
	defer close(c.stopped)
	tick := time.NewTicker(idleTick)
	defer tick.Stop()
	for {
		c.beat()
		if c.carry != nil {
			c.commit(c.gather(c.carry))
			continue
		}
		select {
		case r := <-c.requests:
			c.commit(c.gather(r))
		case <-tick.C:
			c.idle()
		case <-c.stop:
			c.finish()
			return
		}
	}
}

func (c *committer) beat() {
	if c.opts.Beat != nil {
		c.opts.Beat()
	}
}

// finish commits what was handed over before Close.
func (c *committer) finish() {
	for {
		select {
		case r := <-c.requests:
			r.urgent = true
			c.commit(c.gather(r))
		default:
			if c.carry == nil {
				c.settle()
				return
			}
			c.commit(c.gather(c.carry))
		}
	}
}

// gather collects the group that begins with first: it waits until the last
// commit is CommitAge ago, unless the group is full or urgent, and then takes
// what else is there.
func (c *committer) gather(first *request) []*request {
	c.carry = nil
	group, size, count := []*request{first}, first.size(), len(first.messages)
	urgent := first.urgent
	take := func(r *request) bool {
		if size+r.size() > MaxAppendBytes {
			c.carry = r
			return false
		}
		group = append(group, r)
		size += r.size()
		count += len(r.messages)
		urgent = urgent || r.urgent
		return true
	}
	timer := time.NewTimer(max(0, c.opts.CommitAge-time.Since(c.lastCommit)))
	defer timer.Stop()
	for !urgent && count < c.opts.CommitMessages {
		select {
		case r := <-c.requests:
			if !take(r) {
				return group
			}
			continue
		case <-timer.C:
		case <-c.stop:
		}
		break
	}
	for {
		select {
		case r := <-c.requests:
			if take(r) {
				continue
			}
		default:
		}
		return group
	}
}

// commit writes a group in one transaction and answers every request in it.
func (c *committer) commit(group []*request) {
	// Making room commits on its own, so it comes before the plan is begun.
	written := c.admitted(group)
	if len(written) == 0 {
		return
	}
	p := newPlan(c.store, c.opts.Clock, c.packer)
	c.rollDrained(p, written)
	for _, r := range written {
		c.place(p, r)
	}
	err := c.write(p)
	if err == nil && len(written) == len(group) {
		c.accepting()
	}
	for _, r := range written {
		r.done <- err
	}
	c.lastCommit = time.Now()
	if err == nil {
		c.reclaim()
		c.wake()
	}
}

// admitted answers the requests that there is no room for and returns the others.
func (c *committer) admitted(group []*request) (list []*request) {
	free, spaceErr := c.checkSpace()
	claimed := make(claims)
	for _, r := range group {
		err := spaceErr
		if err == nil {
			err = c.admit(r, free, claimed)
		}
		if err != nil {
			r.done <- err
			continue
		}
		list = append(list, r)
	}
	return list
}

// rollDrained closes the epochs of drained lanes before more is put into them,
// so that what has left does not take room beside what comes.
func (c *committer) rollDrained(p *plan, group []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range group {
		for _, m := range r.messages {
			if l := c.lanes[m.ID.Lane]; p.lanes[l] == nil && l.drained() {
				p.of(l).roll()
			}
		}
	}
}

// place puts a request into the plan.
func (c *committer) place(p *plan, r *request) {
	r.ids = r.ids[:0]
	for _, m := range r.messages {
		r.ids = append(r.ids, p.add(c.lanes[m.ID.Lane], m))
	}
	for _, s := range r.spans {
		lp := p.of(s.lane)
		lp.spans = append(lp.spans, s)
		p.add(c.lanes[gateway.LaneGaps], gapMessage(c.store, s, p.now))
	}
	p.puts = append(p.puts, r.puts...)
	p.deletes = append(p.deletes, r.deletes...)
}

// write commits the plan, together with the cursors of all lanes that have
// unwritten acknowledgements.
func (c *committer) write(p *plan) error {
	c.mu.Lock()
	for _, l := range c.lanes {
		if l.dirty() {
			p.of(l)
		}
	}
	p.finish()
	c.mu.Unlock()
	err := c.db.Update(func(txn *badger.Txn) error {
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
	})
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
		c.refuse(err.Error())
		return err
	}
	c.mu.Lock()
	c.bytesAccepted.Add(p.apply())
	c.mu.Unlock()
	c.commits.Add(1)
	return nil
}

// idle does what is due when nothing is to be committed.
func (c *committer) idle() {
	if free, err := c.checkSpace(); err == nil && free >= c.opts.MinFree {
		c.roomFreed()
	}
	c.settle()
	if time.Since(c.lastSweep) >= time.Minute {
		c.lastSweep = time.Now()
		c.sweep()
	}
}

// settle writes the cursors of lanes with unwritten acknowledgements and gives
// back the space of lanes that are drained.
func (c *committer) settle() {
	p := newPlan(c.store, c.opts.Clock, c.packer)
	c.mu.Lock()
	due := false
	for _, l := range c.lanes {
		drained := l.drained()
		// After a start the tail has no cursor yet, and nothing can be dropped.
		leftover := l.writtenIn == 0 && l.passed() > 0
		if !drained && !leftover && !l.dirty() {
			continue
		}
		due = true
		if lp := p.of(l); drained {
			lp.roll()
		}
	}
	c.mu.Unlock()
	if !due {
		return
	}
	if _, err := c.checkSpace(); err != nil {
		return
	}
	if err := c.write(p); err == nil {
		c.reclaim()
	}
}

// sweep gives up the epochs whose last message has outlived its lane's TTL.
func (c *committer) sweep() {
	if !c.opts.Clock.Trusted() {
		return
	}
	now := c.opts.Clock.Now()
	for _, l := range c.snapshot() {
		if l.TTL == 0 {
			continue
		}
		for {
			c.mu.Lock()
			s, found := l.expired(now)
			c.mu.Unlock()
			if !found || c.drop(s) != nil {
				break
			}
		}
	}
}

// drop gives up a span, in a transaction of its own.
func (c *committer) drop(s span) error {
	p := newPlan(c.store, c.opts.Clock, c.packer)
	c.place(p, &request{spans: []span{s}})
	if lp := p.of(s.lane); s.last == s.lane.next()-1 && s.lane.tail().bytes > 0 {
		lp.roll()
	}
	if err := c.write(p); err != nil {
		return err
	}
	c.log.Warn("messages given up", "lane", s.lane.name, "first", s.first, "last", s.last, "reason", string(s.reason))
	c.reclaim()
	c.wake()
	return nil
}

// reclaim drops the epochs that every lane's cursor on disk has passed.
func (c *committer) reclaim() {
	for _, l := range c.snapshot() {
		c.mu.Lock()
		n := 0
		if l.writtenIn == l.tail().number {
			n = l.passed()
		}
		passed := l.epochs[:n]
		c.mu.Unlock()
		if n == 0 {
			continue
		}
		prefixes := make([][]byte, 0, n)
		for _, e := range passed {
			prefixes = append(prefixes, epochPrefix(l.number, e.number))
		}
		if err := c.db.DropPrefix(prefixes...); err != nil {
			c.refuse(fmt.Sprintf("reclaim of lane %s: %v", l.name, err))
			continue
		}
		c.mu.Lock()
		l.epochs = append([]epoch(nil), l.epochs[n:]...)
		c.mu.Unlock()
		c.roomFreed()
	}
}

// refuse notes why the committer could not do its work.
func (c *committer) refuse(reason string) {
	c.mu.Lock()
	fresh := c.refused.reason != reason
	if fresh {
		c.refused = refusal{reason: reason, since: time.Now()}
	}
	c.mu.Unlock()
	if fresh {
		c.log.Error("store", "store", c.store, "problem", reason)
	}
}
