package storeforward

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// load reads identity, lanes and journal; a new store gets its id.
func (c *committer) load() error {
	id, err := c.loadStore()
	if err != nil {
		return openError(c.opts.Dir, err)
	}
	c.store = id.Store
	c.own = make(map[gateway.Lane]*lane)
	for _, l := range c.lanes {
		if l.store == c.store {
			c.own[l.name] = l
		}
	}
	if err := c.addLanes(); err != nil {
		return err
	}
	c.findOldest()
	c.step("loaded")
	return c.identify(id)
}

func (q *Queue) loadStore() (id identity, err error) {
	err = q.engine.view(func(txn *badger.Txn) error {
		if id, err = readIdentity(txn); err != nil {
			return err
		}
		if id.locked(q.sealer) {
			return fmt.Errorf("store %s: %w", q.opts.Dir, ErrKey)
		}
		if err := q.loadLanes(txn); err != nil {
			return err
		}
		return q.journal.load(txn)
	})
	if !errors.Is(err, badger.ErrKeyNotFound) {
		return id, err
	}
	return identity{Format: formatVersion, Store: newStoreID()}, q.mustBeEmpty()
}

// mustBeEmpty makes sure that a store without an id is a new one, and not one
// that has lost its beginning.
func (q *Queue) mustBeEmpty() error {
	return q.engine.view(func(txn *badger.Txn) error {
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
	it := txn.NewIterator(badger.IteratorOptions{Prefix: lanesPrefix})
	defer it.Close()
	for it.Seek(lanesPrefix); it.Valid(); it.Next() {
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			return err
		}
		store, name, number, err := decodeLane(value)
		if err != nil {
			return err
		}
		l, err := q.loadLane(txn, store, name, number)
		if err != nil {
			return fmt.Errorf("lane %s: %w", name, err)
		}
		l.registered = true
		q.lanes = append(q.lanes, l)
	}
	return nil
}

// loadLane finds the epochs of a lane: one seek and one get each, whatever
// they hold. A new epoch is begun behind them.
func (q *Queue) loadLane(txn *badger.Txn, store string, name gateway.Lane, number uint8) (*lane, error) {
	l := q.newLane(store, name, number)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: lanePrefix(number)})
	defer it.Close()
	next, last := uint64(1), uint32(0)
	for it.Seek(lanePrefix(number)); it.Valid(); it.Seek(epochPrefix(number, last+1)) {
		e, _, ok := parseChunkKey(it.Item().Key())
		if !ok {
			return nil, fmt.Errorf("key %x: %w", it.Item().Key(), errDamaged)
		}
		c, commit, err := loadCursor(txn, number, e)
		if err != nil {
			return nil, fmt.Errorf("cursor of epoch %d: %w", e, err)
		}
		q.number.Store(max(q.number.Load(), commit))
		l.epochs = append(l.epochs, epoch{number: e, first: c.first, next: c.next, bytes: c.bytes, newest: c.newest})
		l.acked, l.done, next, last = c.acked, c.done, c.next, e
		q.ages.saw(c.newest)
		l.arrived(c.next-1, c.newest)
	}
	l.written = mark{l.acked, slices.Clone(l.done)}
	l.back.head = l.acked + 1
	l.epochs = append(l.epochs, epoch{number: last + 1, first: next, next: next})
	return l, q.loadGap(txn, l)
}

// loadCursor reads a cursor and the number of the transaction that wrote it.
func loadCursor(txn *badger.Txn, number uint8, e uint32) (c cursor, commit uint32, err error) {
	value, err := get(txn, cursorKey(number, e))
	if err != nil {
		return c, 0, err
	}
	f, err := expect(value, frameCursor)
	if err != nil {
		return c, 0, err
	}
	c, err = decodeCursor(f.payload)
	return c, f.count, err
}

func (q *Queue) loadGap(txn *badger.Txn, l *lane) error {
	value, err := get(txn, gapKey(l.number))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := expect(value, frameGap)
	if err != nil {
		return err
	}
	g, err := openLoss(f, q.sealer)
	if err != nil {
		return err
	}
	l.gap = newLoss(g)
	return nil
}

func (q *Queue) newLane(store string, name gateway.Lane, number uint8) *lane {
	l := &lane{store: store, name: name, number: number, LaneOptions: q.opts.lane(name)}
	l.count.lost = make(map[gateway.GapReason]uint64)
	l.back.head = 1
	return l
}

// addLanes makes the lanes of the options that the store does not have yet.
// They are registered on disk with their first message.
func (q *Queue) addLanes() error {
	for name := range q.opts.known() {
		if q.own[name] != nil {
			continue
		}
		l, err := q.addLane(q.store, name)
		if err != nil {
			return err
		}
		q.own[name] = l
	}
	return nil
}

// addLane makes a lane with a number that is free.
func (q *Queue) addLane(store string, name gateway.Lane) (*lane, error) {
	number := uint8(1)
	for slices.ContainsFunc(q.lanes, func(l *lane) bool { return l.number == number }) {
		number++
	}
	if number > maxLanes {
		return nil, fmt.Errorf("more than %d lanes, those of earlier stores included: %w", maxLanes, gateway.ErrInvalid)
	}
	l := q.newLane(store, name, number)
	l.epochs = []epoch{{number: 1, first: 1, next: 1}}
	q.lanes = append(q.lanes, l)
	return l, nil
}

// snapshot lists the lanes.
func (q *Queue) snapshot() []*lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.lanes)
}
