package storeforward

import (
	"slices"
	"time"
)

const (
	// maxForgotten bounds how many entries leave the journal in one transaction.
	maxForgotten = 256
	// journalSweep is how often entries that have outlived the journal are removed
	// without a command that takes them along: seldom, since it wears the card.
	journalSweep = time.Hour
)

// outlived reports whether a finished entry is older than the journal keeps them;
// mu is held.
func (j *Journal) outlived(e *journalEntry) bool {
	age := j.q.opts.JournalAge
	return e.finished && age > 0 && j.q.ages.of(e.at) > age
}

// excess is how many of the oldest finished entries are beyond the bounds of the
// journal, if so many more are to be added; mu is held.
func (j *Journal) excess(more int) int {
	n, bytes := 0, j.bytes
	for n < min(len(j.finished), maxForgotten) {
		e := j.finished[n]
		if len(j.finished)-n+more <= j.q.opts.JournalEntries && bytes <= j.q.opts.journalBytes() && !j.outlived(e) {
			break
		}
		bytes -= int64(e.bytes)
		n++
	}
	return n
}

// maxJournalBytes bounds what finished entries take of the disk: all are looked at when
// the store is opened.
const maxJournalBytes = 16e6

func (o *Options) journalBytes() int64 { return min(o.MaxBytes/8, maxJournalBytes) }

// forget adds the removal of what is beyond the bounds to a request that finishes
// one more.
func (j *Journal) forget(r *request) []*journalEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	leaving := j.leave(j.excess(1))
	for _, e := range leaving {
		r.deletes = append(r.deletes, journalKey(e.arrival))
	}
	return leaving
}

// leave takes the oldest finished entries out of the list; mu is held.
func (j *Journal) leave(n int) []*journalEntry {
	leaving := slices.Clone(j.finished[:n])
	j.finished = j.finished[n:]
	for _, e := range leaving {
		e.leaving = true
		j.bytes -= int64(e.bytes)
	}
	return leaving
}

// settle states whether the removal of entries is on disk; mu is held.
func (j *Journal) settle(leaving []*journalEntry, gone bool) {
	for _, e := range leaving {
		switch {
		case !gone:
			e.leaving = false
			j.bytes += int64(e.bytes)
		case j.entries[e.id] == e: // and not a new one with the same id
			delete(j.entries, e.id)
		}
	}
	if !gone {
		j.finished = append(leaving, j.finished...)
	}
}

// drop forgets an entry that is not on disk: a write that was to remove it has failed,
// and removed it all the same. One that is leaving is forgotten by whoever removes it.
func (j *Journal) drop(e *journalEntry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.entries[e.id] == e && !e.leaving {
		delete(j.entries, e.id)
		j.unlist(e)
	}
}

// unlist takes an entry out of those that are finished, if it is there; mu is held.
func (j *Journal) unlist(e *journalEntry) {
	if i := slices.Index(j.finished, e); i >= 0 {
		j.finished = slices.Delete(j.finished, i, i+1)
		j.bytes -= int64(e.bytes)
	}
}

// sweepJournal removes what has outlived the journal.
func (c *committer) sweepJournal() {
	j := c.journal
	for {
		j.mu.Lock()
		leaving := j.leave(j.excess(0))
		j.mu.Unlock()
		if len(leaving) == 0 {
			return
		}
		p := c.newPlan()
		for _, e := range leaving {
			p.deletes = append(p.deletes, journalKey(e.arrival))
		}
		err := c.write(p)
		j.mu.Lock()
		j.settle(leaving, err == nil)
		j.mu.Unlock()
		if err != nil {
			return
		}
	}
}
