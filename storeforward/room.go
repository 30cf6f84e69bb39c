package storeforward

import (
	"fmt"
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// freeBytes is what the file system of a directory has left for this user. One
// that has gone over to read-only, as after an error of the card, has nothing
// left: the engine would die of the first page that it writes there. Nor has one
// that takes no more files.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	if int64(st.Flags)&unix.ST_RDONLY != 0 { //nolint:unconvert // the type differs by platform
		return 0, fmt.Errorf("%s: %w; look in the kernel's log for errors of the card", dir, unix.EROFS)
	}
	if st.Files > 0 && st.Ffree < minInodes { // btrfs has no number of them
		return 0, fmt.Errorf("disk full: %w for more than %d files on the disk of %s; delete files there", errNoRoom, st.Ffree, dir)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // the types differ by platform
}

// checkSpace looks at the file system before something is written.
func (c *committer) checkSpace() (free int64, err error) {
	free, err = c.opts.free(c.opts.Dir)
	if err != nil {
		c.refuse(err.Error())
		return 0, err
	}
	if !c.engine.guard.ready(free) {
		return free, c.diskFull(free)
	}
	return free, nil
}

func (c *committer) diskFull(free int64) error {
	c.refuse(fmt.Sprintf("disk full: %s has %d MB free; delete files there", c.opts.Dir, free/1e6))
	return errNoRoom
}

// claim is what the requests admitted to a group will add to a lane.
type claim struct {
	bytes    int64
	messages int64
}

// claims are those of a group, by lane.
type claims map[*lane]claim

// with adds what a request needs.
func (c claims) with(r *request) claims {
	sum := maps.Clone(c)
	for _, row := range r.rows {
		l := row.lane
		sum[l] = claim{sum[l].bytes + int64(row.bytes), sum[l].messages + int64(len(row.messages))}
	}
	for _, s := range r.chunks {
		sum[s.lane] = claim{sum[s.lane].bytes + int64(s.size()), sum[s.lane].messages + int64(s.count)}
	}
	return sum
}

func (c claims) total() (n int64) {
	for _, one := range c {
		n += one.bytes
	}
	return n
}

// admit decides whether a request fits beside those claimed, to which it is
// added, and makes room for it where a policy allows. Room on the file system
// is never made by giving messages up: who fills the disk may be somebody else,
// who would take that room too.
func (c *committer) admit(r *request, free int64, claimed claims) error {
	if r.exempt {
		return nil
	}
	if free < c.opts.MinFree {
		c.refuse(fmt.Sprintf("disk nearly full: %s has %d MB free, queue.min_free is %d MB; delete files there",
			c.opts.Dir, free/1e6, c.opts.MinFree/1e6))
		return errNoRoom
	}
	wanted := claimed.with(r)
	for l, sum := range wanted {
		if sum == claimed[l] {
			continue
		}
		if l.Overflow != DropOldest && l.MaxMessages > 0 && c.waitingIn(l)+sum.messages > l.MaxMessages {
			c.refuse(fmt.Sprintf("lane %s holds its %d messages; its overflow policy is %s", l.name, l.MaxMessages, l.Overflow))
			return errNoRoom
		}
		if err := c.makeRoom(l, wanted); err != nil {
			return err
		}
	}
	maps.Copy(claimed, wanted)
	return nil
}

func (q *Queue) waitingIn(l *lane) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(l.waiting())
}

// makeRoom evicts as the policies say until what is wanted fits into a lane and
// into the store.
func (c *committer) makeRoom(l *lane, wanted claims) error {
	for {
		victim, full := c.victim(l, wanted)
		if !full {
			return nil
		}
		if victim == nil {
			c.refuse(fmt.Sprintf("lane %s is full; its overflow policy is %s", l.name, l.Overflow))
			return errNoRoom
		}
		before := victim.bytes()
		if err := c.evict(victim); err != nil {
			return err
		}
		if victim.bytes() >= before { // reclaim failed and has said why
			return errNoRoom
		}
	}
}

// evict frees the oldest epoch of a lane: what waits in it is given up; if
// all of it has been acknowledged, closing it is enough.
func (c *committer) evict(l *lane) error {
	c.mu.Lock()
	e, found := l.oldest()
	c.mu.Unlock()
	if found {
		return c.drop(l, e, gateway.GapOverflow)
	}
	p := c.newPlan()
	p.of(l).roll()
	if err := c.write(p); err != nil {
		return err
	}
	c.reclaim()
	return nil
}

// victim reports whether a lane, or the store, is too full for what is wanted,
// and which lane has to give something up; nil if none may.
func (c *committer) victim(own *lane, wanted claims) (victim *lane, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own.MaxBytes > 0 && own.bytes()+wanted[own].bytes > own.MaxBytes {
		return own.evictable(), true
	}
	var total int64
	var largest *lane
	for _, l := range c.lanes {
		total += l.bytes()
		if l.evictable() != nil && (largest == nil || l.bytes() > largest.bytes()) {
			largest = l
		}
	}
	if total+wanted.total() <= c.opts.MaxBytes-engineBytes {
		return nil, false
	}
	if own.evictable() != nil {
		return own, true
	}
	return largest, true
}

// evictable returns the lane if its oldest epoch can be given up or is only
// waiting to be dropped.
func (l *lane) evictable() *lane {
	if l.bytes() == 0 || (l.Overflow != DropOldest && !l.empty()) {
		return nil
	}
	return l
}

// roomFreed wakes every Append that waits for room.
func (c *committer) roomFreed() {
	c.mu.Lock()
	close(c.room)
	c.room = make(chan struct{})
	c.mu.Unlock()
}

// accepting notes that everything is being accepted again.
func (c *committer) accepting() {
	c.mu.Lock()
	was := c.refused
	c.refused = refusal{}
	c.mu.Unlock()
	if was.reason != "" {
		c.log.Info("store accepts again", "store", c.store, "after", time.Since(was.since).Round(time.Second))
	}
}

func (q *Queue) refusalReason() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refused.reason
}
