package storeforward

import (
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// idleTick is how often the committer looks for acknowledgements to write,
	// epochs to drop and messages that have expired.
	idleTick = time.Second
	// sweepEvery is how often whole epochs are looked at for their age.
	sweepEvery = time.Minute
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
	// lastForgot is the uptime at which the journal was last swept.
	lastForgot time.Duration
	// carry did not fit into the last group and begins the next.
	carry *request
	// undone is what writes that have failed replaced, by key. It is put back with the
	// next one: what was written beside it, such as the message of a result, does not
	// count any more.
	undone map[string][]byte
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

func (q *Queue) beat() {
	if q.opts.Beat != nil {
		q.opts.Beat()
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
				c.tell(true)
				c.settle()
				return
			}
			c.commit(c.gather(c.carry))
		}
	}
}

// group is what is committed in one transaction.
type group struct {
	requests []*request
	bytes    int
	messages int
	urgent   bool
}

func (g *group) add(r *request) {
	g.requests = append(g.requests, r)
	g.bytes += r.size()
	g.messages += r.count()
	g.urgent = g.urgent || r.urgent
}

// gather collects the group that begins with first: it waits until the last
// commit is CommitAge ago, unless the group is full or urgent, and then takes
// what else is there.
func (c *committer) gather(first *request) *group {
	c.carry = nil
	g := &group{}
	g.add(first)
	if wait := c.opts.CommitAge - time.Since(c.lastCommit); wait > 0 {
		c.await(g, wait)
	}
	for c.carry == nil {
		select {
		case r := <-c.requests:
			c.take(g, r)
			continue
		default:
		}
		break
	}
	return g
}

// await takes requests into a group until a time has passed or the group is not
// to wait.
func (c *committer) await(g *group, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for c.carry == nil && !g.urgent && g.messages < c.opts.CommitMessages {
		select {
		case r := <-c.requests:
			c.take(g, r)
		case <-timer.C:
			return
		case <-c.stop:
			return
		}
	}
}

// take adds a request to a group or, if the group is full, carries it over to
// the next.
func (c *committer) take(g *group, r *request) {
	if g.bytes+r.size() > MaxAppendBytes {
		c.carry = r
		return
	}
	g.add(r)
}

// commit writes a group in one transaction and answers every request in it.
func (c *committer) commit(g *group) {
	c.step("gathered")
	// Making room commits on its own, so it comes before the plan is begun.
	written := c.admitted(g)
	if len(written) == 0 {
		return
	}
	p := c.newPlan()
	c.begin(p, written)
	for _, r := range written {
		c.place(p, r)
	}
	err := c.write(p)
	if err != nil {
		c.undo(written)
	} else if len(written) == len(g.requests) {
		c.accepting()
	}
	for _, r := range written {
		r.done <- err
	}
	c.step("answered")
	c.lastCommit = time.Now()
	if err == nil {
		c.reclaim()
		c.wake()
	}
}

// admitted answers the requests that there is no room for and returns the others.
func (c *committer) admitted(g *group) (list []*request) {
	free, spaceErr := c.checkSpace()
	claimed := make(claims)
	for _, r := range g.requests {
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

// begin begins the lanes that requests are for. It closes the epochs of drained
// ones before more is put into them, so that what has left does not take room
// beside what comes.
func (c *committer) begin(p *plan, requests []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range requests {
		for _, row := range r.rows {
			l := row.lane
			if p.planned(l) != nil {
				continue
			}
			lp := p.of(l)
			lp.shown = l.front().head == l.next()
			if l.drained() {
				lp.roll()
			}
		}
	}
}

// place puts a request into the plan.
func (c *committer) place(p *plan, r *request) {
	r.ids = make([]gateway.MessageID, 0, r.count())
	for _, row := range r.rows {
		lp := p.of(row.lane)
		for i := range row.messages {
			r.ids = append(r.ids, p.add(lp, row.messages[i]))
		}
	}
	for _, s := range r.spans {
		p.lose(s)
	}
	for _, s := range r.chunks {
		p.bring(s.lane, s)
	}
	p.puts = append(p.puts, r.puts...)
	p.deletes = append(p.deletes, r.deletes...)
}

// undo notes what requests were to replace. What was on record before the first write
// that has failed counts.
func (c *committer) undo(failed []*request) {
	for _, r := range failed {
		for _, kv := range r.undo {
			if _, noted := c.undone[string(kv.key)]; !noted {
				c.undone[string(kv.key)] = kv.value
			}
		}
	}
}

// putBack has what was undone go with a plan, in front of what that puts there itself.
func (c *committer) putBack(p *plan) {
	if len(c.undone) == 0 {
		return
	}
	back := make([]keyValue, 0, len(c.undone)+len(p.puts))
	for key, value := range c.undone {
		back = append(back, keyValue{[]byte(key), value})
	}
	p.puts = append(back, p.puts...)
}

// write commits a plan and tells the witness, before anybody is told: what is
// confirmed it must know, if the process dies the next moment.
func (c *committer) write(p *plan) error {
	if err := c.transact(p); err != nil {
		c.packer.abandon()
		return err
	}
	c.confirmed.Store(p.number)
	c.witness.note(c.Queue)
	return nil
}

// transact commits the plan, together with the cursors of all lanes that have
// unwritten acknowledgements.
func (c *committer) transact(p *plan) error {
	if err := c.prepare(); err != nil {
		return err
	}
	c.putBack(p)
	c.mu.Lock()
	for _, l := range c.lanes {
		if l.dirty() || l.doubt > 0 {
			p.of(l)
		}
	}
	if len(p.order) == 0 { // each transaction has a cursor, which has its number
		p.of(p.gaps)
	}
	p.number = c.number.Add(1)
	p.trim()
	c.mu.Unlock()
	p.pack()
	c.mu.Lock()
	p.finish()
	c.mu.Unlock()
	c.step("planned")
	err := c.engine.update(p.size(), p.enter)
	c.step("committed")
	if err != nil {
		c.failures.Add(1)
		c.mu.Lock()
		for _, lp := range p.order {
			lp.lane.doubt = lp.tail().number
		}
		c.mu.Unlock()
		err = fmt.Errorf("commit: %w", err)
		c.refuse(err.Error())
		return err
	}
	c.mu.Lock()
	c.bytesAccepted.Add(p.apply())
	c.mu.Unlock()
	clear(c.undone)
	c.packer.reuse(p)
	c.commits.Add(1)
	c.step("applied")
	return nil
}

// prepare makes the engine fit for a transaction, if there is room for one.
func (c *committer) prepare() error {
	free, err := c.checkSpace()
	if err != nil {
		return err
	}
	if err := c.mend(); err != nil {
		return err
	}
	if !c.engine.secured() {
		return c.diskFull(free)
	}
	return nil
}

// mend makes the engine fit for a transaction after one that failed.
func (c *committer) mend() error {
	if !c.engine.broken() {
		return nil
	}
	if err := c.engine.renew(); err != nil {
		err = fmt.Errorf("%w: %w", errEngineDown, err)
		c.refuse(err.Error())
		return err
	}
	c.log.Warn("store opened again after a write that failed", "store", c.store)
	return nil
}

// idle does what is due when nothing is to be committed.
func (c *committer) idle() {
	defer c.ticks.Add(1)
	if free, err := c.checkSpace(); err == nil && free >= c.opts.MinFree {
		c.roomFreed()
	}
	c.keepBallast()
	c.tell(false)
	c.settle()
	c.reclaim()
	c.retire()
	if time.Since(c.lastSweep) >= sweepEvery {
		c.lastSweep = time.Now()
		c.sweep()
	}
	if now := c.opts.Clock.Uptime(); now-c.lastForgot >= journalSweep {
		c.lastForgot = now
		c.sweepJournal()
	}
}

// tell turns losses into gap records: those that have come to rest, or all.
func (c *committer) tell(all bool) {
	p := c.newPlan()
	now := time.Now()
	c.mu.Lock()
	for _, l := range c.lanes {
		if l.gap != nil && (all || l.gap.due(now)) {
			p.tell(p.of(l))
		}
	}
	c.mu.Unlock()
	if len(p.order) == 0 {
		return
	}
	if c.write(p) == nil {
		c.wake()
	}
}

// settle writes the cursors of lanes with unwritten acknowledgements, gives back the
// space of lanes that are drained, and puts back what was undone.
func (c *committer) settle() {
	p := c.newPlan()
	c.mu.Lock()
	due := len(c.undone) > 0
	for _, l := range c.lanes {
		drained := l.drained()
		// After a start the tail has no cursor yet, and nothing can be dropped.
		leftover := l.writtenIn == 0 && len(l.passed()) > 0
		if !drained && !leftover && !l.dirty() && l.doubt == 0 {
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
	if err := c.write(p); err == nil {
		c.reclaim()
	}
}

// sweep gives up the epochs whose last message has outlived its lane's TTL.
func (c *committer) sweep() {
	for _, l := range c.snapshot() {
		if l.TTL == 0 {
			continue
		}
		for {
			c.mu.Lock()
			e, found := l.oldest()
			c.mu.Unlock()
			if !found || c.ages.of(e.newest) < l.TTL || c.drop(l, e, gateway.GapExpired) != nil {
				break
			}
		}
	}
}

// drop gives up what is left of an epoch, in a transaction of its own.
func (c *committer) drop(l *lane, e epoch, reason gateway.GapReason) error {
	p := c.newPlan()
	p.lose(span{lane: l, first: e.first, last: e.next - 1, reason: reason})
	if lp := p.of(l); e.number == l.tail().number && l.tail().bytes > 0 {
		lp.roll()
	}
	if err := c.write(p); err != nil {
		return err
	}
	c.log.Warn("messages given up", "lane", l.name, "first", e.first, "last", e.next-1, "reason", string(reason))
	c.reclaim()
	c.wake()
	return nil
}

// reclaim drops the epochs that every lane's cursor on disk has passed.
func (c *committer) reclaim() {
	for _, l := range c.snapshot() {
		c.mu.Lock()
		var passed []epoch
		if l.writtenIn == l.tail().number {
			passed = l.passed()
		}
		c.mu.Unlock()
		if len(passed) == 0 {
			continue
		}
		prefixes := make([][]byte, 0, len(passed))
		for _, e := range passed {
			prefixes = append(prefixes, epochPrefix(l.number, e.number))
		}
		c.step("drop")
		if err := c.dropPrefix(prefixes...); err != nil {
			c.refuse(fmt.Sprintf("reclaim of lane %s: %v", l.name, err))
			return
		}
		c.step("dropped")
		c.mu.Lock()
		l.forget(passed)
		c.mu.Unlock()
		c.roomFreed()
	}
}

// retire removes inherited lanes that are drained from the disk.
func (c *committer) retire() {
	for _, l := range c.snapshot() {
		c.mu.Lock()
		over := l.store != c.store && l.registered && l.empty() && l.gap == nil && !c.salvaging(l)
		c.mu.Unlock()
		if !over {
			continue
		}
		// The key goes last: without it the number is free for another lane.
		if err := c.dropPrefix(lanePrefix(l.number)); err != nil {
			c.refuse(fmt.Sprintf("reclaim of lane %s: %v", l.name, err))
			return
		}
		p := c.newPlan()
		p.deletes = append(p.deletes, laneKey(l.number))
		if c.write(p) != nil {
			return
		}
		c.mu.Lock()
		l.registered = false
		l.epochs = []epoch{{number: l.tail().number + 1, first: l.next(), next: l.next()}}
		l.written = l.mark()
		c.mu.Unlock()
		c.log.Info("inherited lane drained", "store", l.store, "lane", l.name)
	}
}

// dropPrefix removes keys, if there is room for the tables that are made anew
// without them.
func (c *committer) dropPrefix(prefixes ...[]byte) error {
	if err := c.mend(); err != nil {
		return err
	}
	if !c.engine.guard.room(c.engine.guard.taskBytes()) {
		return errHeld
	}
	return c.engine.dropPrefix(prefixes...)
}

// keepBallast sets room aside.
func (c *committer) keepBallast() {
	if free, err := c.opts.free(c.opts.Dir); err == nil {
		c.engine.guard.settle(free, c.opts.MinFree)
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
