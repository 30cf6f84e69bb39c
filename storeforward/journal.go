package storeforward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// Journal records what became of each command, in the same store and the same
// transactions as the messages, so that a result is never without its message.
// All methods are safe for concurrent use, except that one command is changed by
// one goroutine at a time.
type Journal struct {
	q *Queue

	mu      sync.Mutex
	entries map[string]*journalEntry
	// finished are the entries with a result, oldest first; bytes is what they
	// take on disk.
	finished []*journalEntry
	bytes    int64
	// beginning are the ids that are being recorded; each channel is closed when
	// that is over, so that of two commands with one id one is first.
	beginning map[string]chan struct{}
	arrivals  uint64
	// doubtful are arrivals whose entry must not be there, and may be: the next
	// write removes them.
	doubtful []uint64
}

// journalEntry is what is kept in memory of an entry.
type journalEntry struct {
	id       string
	arrival  uint64
	bytes    int // on disk
	finished bool
	at       stamp // when it was finished
	leaving  bool  // its removal is under way
}

func newJournal(q *Queue) *Journal {
	return &Journal{q: q, entries: make(map[string]*journalEntry), beginning: make(map[string]chan struct{})}
}

// Begin records cmd durably as received. If its id is known already, nothing
// is written; the entry that is there is returned, and first is false. An entry
// that has outlived the journal counts as unknown.
func (j *Journal) Begin(ctx context.Context, cmd gateway.Command) (entry gateway.Entry, first bool, err error) {
	for {
		under, e, known := j.claim(cmd.ID)
		switch {
		case under != nil:
			select {
			case <-under:
				continue
			case <-ctx.Done():
				return gateway.Entry{}, false, fmt.Errorf("journal command %s: %w", cmd.ID, ctx.Err())
			}
		case known:
			r, err := j.read(e.arrival)
			if errors.Is(err, badger.ErrKeyNotFound) {
				j.drop(e)
				continue
			}
			return r.Entry, false, err
		}
		entry = gateway.Entry{Command: cmd}
		return entry, true, j.begin(ctx, e, entry)
	}
}

// claim looks an id up. If it is being recorded just now, under is closed when
// that is over; else e is its entry or, if there is none, a new one that the
// caller is to begin.
func (j *Journal) claim(id string) (under <-chan struct{}, e *journalEntry, known bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if under := j.beginning[id]; under != nil {
		return under, nil, false
	}
	if e := j.entries[id]; e != nil && !e.leaving && !j.outlived(e) {
		return nil, e, true
	}
	j.arrivals++
	j.beginning[id] = make(chan struct{})
	return nil, &journalEntry{id: id, arrival: j.arrivals}, false
}

// begin writes a new entry that was claimed.
func (j *Journal) begin(ctx context.Context, e *journalEntry, entry gateway.Entry) error {
	r := &request{}
	old := j.replaced(e.id, r)
	err := j.put(ctx, r, e, journalRecord{Entry: entry, Stamp: j.q.ages.stamp().append(nil)})
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.beginning[e.id])
	delete(j.beginning, e.id)
	if err != nil {
		j.doubtful = append(j.doubtful, e.arrival) // it may be on disk all the same
		if errors.Is(err, errNoRoom) {
			err = fmt.Errorf("%s: %w", j.q.refusalReason(), gateway.ErrFull)
		}
		return fmt.Errorf("journal command %s: %w", e.id, err)
	}
	j.entries[e.id] = e
	j.unlist(old)
	return nil
}

// replaced adds the removal of the outlived entry with this id, if there is one.
func (j *Journal) replaced(id string, r *request) *journalEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	old := j.entries[id]
	if old != nil {
		r.deletes = append(r.deletes, journalKey(old.arrival))
	}
	return old
}

// Start records durably that the device is about to act.
func (j *Journal) Start(ctx context.Context, id string) error {
	return j.update(ctx, id, &request{}, func(r *journalRecord, now stamp) {
		r.Started, r.StartedAt = true, j.q.opts.Clock.Now().UTC()
		r.Stamp = now.append(nil)
	})
}

// Finish records the final state and appends the outgoing messages, in one
// transaction. The oldest finished entries beyond the bounds of the journal go.
func (j *Journal) Finish(ctx context.Context, result gateway.Result, out ...gateway.Message) error {
	r := &request{}
	if err := j.q.put(r, out...); err != nil {
		return fmt.Errorf("result of command %s: %w", result.CommandID, err)
	}
	leaving := j.forget(r)
	var at stamp
	err := j.update(ctx, result.CommandID, r, func(r *journalRecord, now stamp) {
		r.Took = r.running(now)
		at, r.Result, r.Stamp = now, &result, now.append(nil)
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settle(leaving, err == nil)
	if err != nil {
		return err
	}
	if e := j.entries[result.CommandID]; !e.finished {
		e.finished, e.at = true, at
		j.finished = append(j.finished, e)
		j.bytes += int64(e.bytes)
	}
	return nil
}

// update changes an entry that is there. The request is exempt from the
// bounds: a command that was taken must be able to reach its final state.
func (j *Journal) update(ctx context.Context, id string, r *request, change func(*journalRecord, stamp)) error {
	j.mu.Lock()
	e := j.entries[id]
	j.mu.Unlock()
	if e == nil {
		return fmt.Errorf("journal: command %s: %w", id, badger.ErrKeyNotFound)
	}
	before, err := j.value(e.arrival)
	if err != nil {
		return fmt.Errorf("journal: command %s: %w", id, err)
	}
	record, err := j.decode(before)
	if err != nil {
		return fmt.Errorf("journal: command %s: %w", id, err)
	}
	r.undo = append(r.undo, keyValue{journalKey(e.arrival), before})
	change(&record, j.q.ages.stamp())
	r.exempt = true
	if err := j.put(ctx, r, e, record); err != nil {
		return fmt.Errorf("journal: command %s: %w", id, err)
	}
	return nil
}

// put writes an entry, and removes those in doubt along with it.
func (j *Journal) put(ctx context.Context, r *request, e *journalEntry, record journalRecord) error {
	kv, err := j.encode(e.arrival, record)
	if err != nil {
		return err
	}
	r.puts = append(r.puts, kv)
	doubtful := j.takeDoubtful()
	for _, arrival := range doubtful {
		r.deletes = append(r.deletes, journalKey(arrival))
	}
	if n := r.size(); n > MaxAppendBytes {
		err = fmt.Errorf("%d bytes: the limit is %d: %w", n, MaxAppendBytes, gateway.ErrInvalid)
	} else {
		r.urgent, r.done = true, make(chan error, 1)
		err = j.q.submit(ctx, r)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.doubtful = append(j.doubtful, doubtful...)
		return err
	}
	e.bytes = len(kv.value)
	return nil
}

// maxDoubtful bounds how many entries one write removes beside its own.
const maxDoubtful = 256

func (j *Journal) takeDoubtful() []uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.doubtful), maxDoubtful)
	taken := slices.Clone(j.doubtful[:n])
	j.doubtful = j.doubtful[n:]
	return taken
}
