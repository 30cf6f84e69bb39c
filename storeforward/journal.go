package storeforward

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// Journal records what became of each command, in the same store and the same
// transactions as the messages, so that a result is never without its message.
type Journal struct {
	q *Queue

	// begin serialises Begin, so that of two commands with one id one is first.
	begin sync.Mutex

	mu      sync.Mutex
	entries map[string]*journalEntry
	// finished are the arrivals of entries with a result, oldest first.
	finished []string
	arrivals uint64
}

// journalEntry is what is kept in memory of an entry.
type journalEntry struct {
	arrival  uint64
	finished bool
}

// Begin records cmd durably as received. If its id is known already, nothing
// is written; the entry that is there is returned, and first is false.
func (j *Journal) Begin(ctx context.Context, cmd gateway.Command) (entry gateway.Entry, first bool, err error) {
	j.begin.Lock()
	defer j.begin.Unlock()
	if entry, err := j.read(cmd.ID); !errors.Is(err, badger.ErrKeyNotFound) {
		return entry, false, err
	}
	j.mu.Lock()
	arrival := j.arrivals + 1
	j.mu.Unlock()
	entry = gateway.Entry{Command: cmd}
	r := &request{urgent: true, done: make(chan error, 1)}
	if err := j.submit(ctx, r, arrival, entry); err != nil {
		if errors.Is(err, errNoRoom) {
			err = fmt.Errorf("%s: %w", j.q.refusalReason(), gateway.ErrFull)
		}
		return gateway.Entry{}, false, fmt.Errorf("journal command %s: %w", cmd.ID, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.arrivals = arrival
	j.entries[cmd.ID] = &journalEntry{arrival: arrival}
	return entry, true, nil
}

// Start records durably that the device is about to act.
func (j *Journal) Start(ctx context.Context, id string) error {
	return j.update(ctx, id, &request{}, func(e *gateway.Entry) { e.Started = true })
}

// Finish records the final state and appends the outgoing messages, in one
// transaction. The oldest finished entries beyond the journal's size go.
func (j *Journal) Finish(ctx context.Context, result gateway.Result, out ...gateway.Message) error {
	r := &request{}
	if err := j.q.put(r, out...); err != nil {
		return fmt.Errorf("result of command %s: %w", result.CommandID, err)
	}
	forget := j.forget(r)
	err := j.update(ctx, result.CommandID, r, func(e *gateway.Entry) { e.Result = &result })
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.finished = append(forget, j.finished...)
		return err
	}
	for _, id := range forget {
		delete(j.entries, id)
	}
	if e := j.entries[result.CommandID]; !e.finished {
		e.finished = true
		j.finished = append(j.finished, result.CommandID)
	}
	return nil
}

// forget takes the oldest finished entries beyond the journal's size out of
// the list and adds their removal to the request.
func (j *Journal) forget(r *request) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	excess := max(0, len(j.finished)+1-j.q.opts.JournalEntries)
	ids := slices.Clone(j.finished[:excess])
	j.finished = j.finished[excess:]
	for _, id := range ids {
		r.deletes = append(r.deletes, journalKey(j.entries[id].arrival))
	}
	return ids
}

// Pending lists the entries without a result, oldest first.
func (j *Journal) Pending(_ context.Context) ([]gateway.Entry, error) {
	j.mu.Lock()
	var ids []string
	for id, e := range j.entries {
		if !e.finished {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return int(j.entries[a].arrival) - int(j.entries[b].arrival) })
	j.mu.Unlock()
	list := make([]gateway.Entry, 0, len(ids))
	for _, id := range ids {
		e, err := j.read(id)
		if err != nil {
			return list, fmt.Errorf("journal: command %s: %w", id, err)
		}
		list = append(list, e)
	}
	return list, nil
}

// update changes an entry that is there. The request is exempt from the
// bounds: a command that was taken must be able to reach its final state.
func (j *Journal) update(ctx context.Context, id string, r *request, change func(*gateway.Entry)) error {
	e, err := j.read(id)
	if err != nil {
		return fmt.Errorf("journal: command %s: %w", id, err)
	}
	change(&e)
	j.mu.Lock()
	arrival := j.entries[id].arrival
	j.mu.Unlock()
	r.urgent, r.exempt, r.done = true, true, make(chan error, 1)
	if err := j.submit(ctx, r, arrival, e); err != nil {
		return fmt.Errorf("journal: command %s: %w", id, err)
	}
	return nil
}

func (j *Journal) submit(ctx context.Context, r *request, arrival uint64, e gateway.Entry) error {
	kv, err := j.encode(arrival, e)
	if err != nil {
		return err
	}
	r.puts = append(r.puts, kv)
	if n := r.size(); n > MaxAppendBytes {
		return fmt.Errorf("%d bytes: the limit is %d: %w", n, MaxAppendBytes, gateway.ErrInvalid)
	}
	return j.q.submit(ctx, r)
}

func (j *Journal) encode(arrival uint64, e gateway.Entry) (keyValue, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return keyValue{}, fmt.Errorf("%w: %w", gateway.ErrInvalid, err)
	}
	f := j.q.sealer.seal(frame{kind: frameJournal, store: j.q.store, first: arrival, payload: body})
	return keyValue{journalKey(arrival), f.encode()}, nil
}

// decodeEntry reads what encode wrote.
func decodeEntry(f frame, s *sealer) (e gateway.Entry, err error) {
	if f, err = s.open(f); err != nil {
		return e, err
	}
	if err := json.Unmarshal(f.payload, &e); err != nil || e.Command.ID == "" {
		return e, fmt.Errorf("journal entry: %w", errDamaged)
	}
	return e, nil
}

// read returns the entry of a command, or badger.ErrKeyNotFound.
func (j *Journal) read(id string) (gateway.Entry, error) {
	j.mu.Lock()
	known := j.entries[id]
	j.mu.Unlock()
	if known == nil {
		return gateway.Entry{}, badger.ErrKeyNotFound
	}
	var e gateway.Entry
	err := j.q.engine.view(func(txn *badger.Txn) error {
		value, err := get(txn, journalKey(known.arrival))
		if err != nil {
			return err
		}
		f, err := expect(value, frameJournal)
		if err != nil {
			return err
		}
		e, err = decodeEntry(f, j.q.sealer)
		return err
	})
	return e, err
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
		f, err := expect(value, frameJournal)
		if err != nil || len(key) != 9 {
			j.q.log.Error("journal entry damaged and left out", "key", fmt.Sprintf("%x", key))
			continue
		}
		e, err := decodeEntry(f, j.q.sealer)
		if err != nil {
			j.q.log.Error("journal entry damaged and left out", "key", fmt.Sprintf("%x", key), "error", err)
			continue
		}
		j.know(binary.BigEndian.Uint64(key[1:]), e)
	}
	return nil
}

// know takes an entry that is on disk into memory.
func (j *Journal) know(arrival uint64, e gateway.Entry) {
	j.entries[e.Command.ID] = &journalEntry{arrival: arrival, finished: e.Result != nil}
	j.arrivals = max(j.arrivals, arrival)
	if e.Result != nil {
		j.finished = append(j.finished, e.Command.ID)
	}
}
