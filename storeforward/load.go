package storeforward

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// load reads identity, lanes and journal; a new store gets its id.
func (q *Queue) load() error {
	if err := q.loadStore(); err != nil {
		return openError(q.opts.Dir, err)
	}
	return q.addLanes()
}

func (q *Queue) loadStore() error {
	err := q.db.View(func(txn *badger.Txn) error {
		id, err := get(txn, storeKey)
		if err != nil {
			return err
		}
		q.store = string(id)
		if err := q.loadLanes(txn); err != nil {
			return err
		}
		return q.journal.load(txn)
	})
	if !errors.Is(err, badger.ErrKeyNotFound) {
		return err
	}
	if err := q.mustBeEmpty(); err != nil {
		return err
	}
	q.store = newStoreID()
	return q.db.Update(func(txn *badger.Txn) error { return txn.Set(storeKey, []byte(q.store)) })
}

// mustBeEmpty makes sure that a store without an id is a new one, and not one
// that has lost its beginning.
func (q *Queue) mustBeEmpty() error {
	return q.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		if it.Rewind(); it.Valid() {
			return errors.New("it holds messages or commands but not its id")
		}
		return nil
	})
}

func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

func (q *Queue) loadLanes(txn *badger.Txn) error {
	prefix := laneKey("")
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		name := gateway.Lane(bytes.TrimPrefix(it.Item().KeyCopy(nil), prefix))
		number, err := it.Item().ValueCopy(nil)
		if err != nil || len(number) != 1 {
			return fmt.Errorf("number of lane %s: %w", name, errDamaged)
		}
		l, err := q.loadLane(txn, name, number[0])
		if err != nil {
			return fmt.Errorf("lane %s: %w", name, err)
		}
		l.registered = true
		q.lanes[name] = l
	}
	return nil
}

// loadLane finds the epochs of a lane: one seek and one get each, whatever
// they hold. A new epoch is begun behind them.
func (q *Queue) loadLane(txn *badger.Txn, name gateway.Lane, number uint8) (*lane, error) {
	l := q.newLane(name, number)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: lanePrefix(number)})
	defer it.Close()
	next, last := uint64(1), uint32(0)
	for it.Seek(lanePrefix(number)); it.Valid(); it.Seek(epochPrefix(number, last+1)) {
		e, _, ok := parseChunkKey(it.Item().Key())
		if !ok {
			return nil, fmt.Errorf("key %x: %w", it.Item().Key(), errDamaged)
		}
		value, err := get(txn, cursorKey(number, e))
		if err != nil {
			return nil, fmt.Errorf("cursor of epoch %d: %w", e, err)
		}
		c, err := decodeCursor(value)
		if err != nil {
			return nil, fmt.Errorf("cursor of epoch %d: %w", e, err)
		}
		l.epochs = append(l.epochs, epoch{number: e, first: c.first, next: c.next, bytes: c.bytes, newest: c.newest})
		l.acked, next, last = c.acked, c.next, e
	}
	l.writtenAcked = l.acked
	l.head = l.acked + 1
	l.epochs = append(l.epochs, epoch{number: last + 1, first: next, next: next})
	return l, nil
}

func (q *Queue) newLane(name gateway.Lane, number uint8) *lane {
	return &lane{name: name, number: number, LaneOptions: q.opts.lane(name), head: 1, ahead: make(map[uint64]struct{})}
}

// addLanes makes the lanes of the options that the store does not have yet.
// They are registered on disk with their first message.
func (q *Queue) addLanes() error {
	used := make(map[uint8]bool)
	for _, l := range q.lanes {
		used[l.number] = true
	}
	number := uint8(1)
	for name := range q.opts.known() {
		if q.lanes[name] != nil {
			continue
		}
		for used[number] {
			number++
		}
		used[number] = true
		if len(used) > maxLanes {
			return fmt.Errorf("%d lanes: the limit is %d: %w", len(used), maxLanes, gateway.ErrInvalid)
		}
		l := q.newLane(name, number)
		l.epochs = []epoch{{number: 1, first: 1, next: 1}}
		q.lanes[name] = l
	}
	return nil
}

// snapshot lists the lanes.
func (q *Queue) snapshot() []*lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := make([]*lane, 0, len(q.lanes))
	for _, l := range q.lanes {
		list = append(list, l)
	}
	return list
}
