package storeforward

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// journalRecord is an entry as it is on disk. Those of former versions have no
// stamp.
type journalRecord struct {
	gateway.Entry
	// Stamp is when the entry was last changed, by both clocks of the board.
	Stamp []byte `json:",omitempty"`
}

// parseStamp gives no stamp for what is none.
func parseStamp(data []byte) stamp {
	d := decoder{data: data}
	s := d.stamp()
	if d.err != nil {
		return stamp{}
	}
	return s
}

// running is how long a command that was started has been carried out; 0 if that
// cannot be known, because the board was started anew meanwhile.
func (r journalRecord) running(now stamp) time.Duration {
	began := parseStamp(r.Stamp)
	if !r.Started || began.boot == 0 || began.boot != now.boot {
		return 0
	}
	return now.uptime - began.uptime
}

func (j *Journal) encode(arrival uint64, r journalRecord) (keyValue, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return keyValue{}, fmt.Errorf("%w: %w", gateway.ErrInvalid, err)
	}
	f := j.q.sealer.seal(frame{kind: frameJournal, store: j.q.store, first: arrival, payload: body})
	return keyValue{journalKey(arrival), f.encode()}, nil
}

// openRecord reads what encode wrote.
func openRecord(f frame, s *sealer) (r journalRecord, err error) {
	if f, err = s.open(f); err != nil {
		return r, err
	}
	if err := json.Unmarshal(f.payload, &r); err != nil || r.Command.ID == "" {
		return r, fmt.Errorf("journal entry: %w", errDamaged)
	}
	return r, nil
}

// decode reads a value of the journal.
func (j *Journal) decode(value []byte) (journalRecord, error) {
	f, err := expect(value, frameJournal)
	if err != nil {
		return journalRecord{}, err
	}
	return openRecord(f, j.q.sealer)
}

// read returns the entry of an arrival, or badger.ErrKeyNotFound.
func (j *Journal) read(arrival uint64) (journalRecord, error) {
	value, err := j.value(arrival)
	if err != nil {
		return journalRecord{}, err
	}
	return j.decode(value)
}

// value is the entry of an arrival as it is on disk.
func (j *Journal) value(arrival uint64) (value []byte, err error) {
	err = j.q.engine.view(func(txn *badger.Txn) error {
		value, err = get(txn, journalKey(arrival))
		return err
	})
	return value, err
}

// Entry returns what is known of a command. An error wraps gateway.ErrUnavailable if
// nothing can be read until the engine is open again.
func (j *Journal) Entry(_ context.Context, id string) (entry gateway.Entry, found bool, err error) {
	j.mu.Lock()
	e := j.entries[id]
	j.mu.Unlock()
	if e == nil {
		return gateway.Entry{}, false, nil
	}
	r, err := j.read(e.arrival)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return gateway.Entry{}, false, nil
	case errors.Is(err, errEngineDown):
		return gateway.Entry{}, false, fmt.Errorf("journal: command %s: %w (%w)", id, err, gateway.ErrUnavailable)
	case err != nil:
		return gateway.Entry{}, false, fmt.Errorf("journal: command %s: %w", id, err)
	}
	return r.Entry, true, nil
}

// Pending calls visit with the entries without a result, oldest first.
func (j *Journal) Pending(ctx context.Context, visit func(gateway.Entry)) error {
	j.mu.Lock()
	var pending []*journalEntry
	for _, e := range j.entries {
		if !e.finished {
			pending = append(pending, e)
		}
	}
	j.mu.Unlock()
	slices.SortFunc(pending, func(a, b *journalEntry) int { return int(a.arrival) - int(b.arrival) })
	for _, e := range pending {
		r, err := j.read(e.arrival)
		if err != nil {
			return fmt.Errorf("journal: command %s: %w", e.id, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		visit(r.Entry)
	}
	return nil
}

// Walk calls visit with the entries, the newest first, until it returns false.
// Damaged ones are left out.
func (j *Journal) Walk(ctx context.Context, visit func(gateway.Entry) bool) error {
	return j.q.engine.view(func(txn *badger.Txn) error {
		prefix := []byte{journalPrefix}
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
		defer it.Close()
		for it.Seek(journalKey(1<<64 - 1)); it.Valid() && ctx.Err() == nil; it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			if r, err := j.decode(value); err == nil && !visit(r.Entry) {
				return nil
			}
		}
		return ctx.Err()
	})
}

// load reads which commands are known.
func (j *Journal) load(txn *badger.Txn) error {
	prefix := []byte{journalPrefix}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		key := it.Item().Key()
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		e, err := j.head(value)
		if err != nil || len(key) != 9 {
			j.q.log.Error("journal entry damaged and left out", "key", fmt.Sprintf("%x", key), "error", err)
			continue
		}
		e.arrival = binary.BigEndian.Uint64(key[1:])
		j.know(e)
	}
	return nil
}

// head reads of a value what is kept in memory.
func (j *Journal) head(value []byte) (*journalEntry, error) {
	f, err := expect(value, frameJournal)
	if err == nil {
		f, err = j.q.sealer.open(f)
	}
	if err != nil {
		return nil, err
	}
	var head struct {
		Command struct{ ID string }
		Result  *struct{}
		Stamp   []byte
	}
	if err := json.Unmarshal(f.payload, &head); err != nil || head.Command.ID == "" {
		return nil, fmt.Errorf("journal entry: %w", errDamaged)
	}
	return &journalEntry{id: head.Command.ID, bytes: len(value), finished: head.Result != nil, at: parseStamp(head.Stamp)}, nil
}

// know takes an entry that is on disk into memory. Of two with one id the later
// one counts: the other had outlived the journal, or was disowned.
func (j *Journal) know(e *journalEntry) {
	if old := j.entries[e.id]; old != nil {
		j.doubtful = append(j.doubtful, old.arrival)
		if i := slices.Index(j.finished, old); i >= 0 {
			j.finished = slices.Delete(j.finished, i, i+1)
			j.bytes -= int64(old.bytes)
		}
	}
	j.entries[e.id] = e
	j.arrivals = max(j.arrivals, e.arrival)
	if e.finished {
		j.finished = append(j.finished, e)
		j.bytes += int64(e.bytes)
		j.q.ages.saw(e.at)
	}
}
