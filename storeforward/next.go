package storeforward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// weights share the link between lanes that all have messages.
var weights = map[Priority]int{PriorityHigh: 4, PriorityNormal: 1}

// Next waits for the next message to send and hands each out once, until
// Rewind. Within a lane the order is that of acceptance, or its two rows if
// the lane is woven. The lanes of other outlets are passed over.
func (q *Queue) Next(ctx context.Context) (gateway.Message, error) { return q.next(ctx, q.Outlet("")) }

func (q *Queue) next(ctx context.Context, o *Outlet) (gateway.Message, error) {
	for {
		q.mu.Lock()
		l, r := o.choose()
		if l == nil {
			q.mu.Unlock()
			select {
			case <-o.ready:
				continue
			case <-ctx.Done():
				return gateway.Message{}, ctx.Err()
			case <-q.stop:
				return gateway.Message{}, ErrClosed
			}
		}
		if _, ok := r.window.at(r.head); ok && !q.hasExpired(l, r.window.stamp) {
			m := r.take(l)
			q.mu.Unlock()
			return m, nil
		}
		head := r.head
		q.mu.Unlock()
		if err := q.advance(ctx, l, r, head); err != nil {
			return gateway.Message{}, err
		}
	}
}

// choose picks the lane that goes next by smooth weighted round robin: each
// lane with messages earns its weight, the richest goes and pays for all.
func (o *Outlet) choose() (*lane, *reader) {
	var best *lane
	var reader *reader
	total := 0
	for _, l := range o.queue.lanes {
		if l.Outlet != o.name || l.Local || l.held {
			continue
		}
		r := l.pick()
		if r == nil {
			continue
		}
		w := weights[l.Priority]
		l.credit += w
		total += w
		if best == nil || l.credit > best.credit || (l.credit == best.credit && l.number < best.number) {
			best, reader = l, r
		}
	}
	if best != nil {
		best.credit -= total
	}
	return best, reader
}

func (q *Queue) hasExpired(l *lane, s stamp) bool {
	return l.TTL > 0 && q.ages.of(s) >= l.TTL
}

// advance makes the message at head ready to be handed out: it reads the next
// piece of the lane, or gives up what has expired or cannot be read.
func (q *Queue) advance(ctx context.Context, l *lane, r *reader, head uint64) error {
	q.mu.Lock()
	w := r.window
	q.mu.Unlock()
	if _, ok := w.at(head); !ok {
		var err error
		if w, err = q.read(l, head); err != nil {
			return fmt.Errorf("store %s: read %s: %w", q.store, l.id(head), err)
		}
		q.mu.Lock()
		if r.head != head {
			q.mu.Unlock()
			return nil // rewound or acknowledged meanwhile
		}
		r.window = w
		if len(w.messages) > 0 {
			l.arrived(w.next()-1, w.stamp)
		}
		q.mu.Unlock()
	}
	if _, ok := w.at(head); !ok { // damage: go on behind it
		q.mu.Lock()
		last := min(w.first, l.next()) - 1
		there := last >= head && l.has(head)
		q.mu.Unlock()
		if !there {
			return nil
		}
		return q.giveUp(ctx, span{lane: l, first: head, last: last, reason: gateway.GapDamaged})
	}
	if q.hasExpired(l, w.stamp) {
		return q.giveUp(ctx, span{lane: l, first: head, last: w.next() - 1, reason: gateway.GapExpired})
	}
	return nil
}

func (q *Queue) giveUp(ctx context.Context, s span) error {
	q.log.Warn("messages given up", "lane", s.lane.name, "first", s.first, "last", s.last, "reason", string(s.reason))
	return q.submit(ctx, &request{spans: []span{s}, urgent: true, exempt: true, done: make(chan error, 1)})
}

// read returns the chunk that holds a sequence number, or, if that is damaged
// or missing, an empty window that begins behind the damage.
func (q *Queue) read(l *lane, seq uint64) (window, error) {
	q.mu.Lock()
	e, found := l.find(seq)
	q.mu.Unlock()
	if !found {
		return window{first: seq + 1}, nil
	}
	q.reads.Add(1)
	var w window
	err := q.engine.view(func(txn *badger.Txn) error {
		value, err := chunkAt(txn, l.number, e.number, seq)
		if err != nil {
			return err
		}
		if value != nil {
			var damage error
			w, damage = q.unpacker.chunk(value)
			if errors.Is(damage, ErrKey) {
				return damage
			}
			if _, ok := w.at(seq); ok {
				return nil
			}
			if damage != nil {
				q.log.Error("chunk damaged", "lane", l.name, "seq", seq, "error", damage)
			}
		}
		w = window{first: e.next}
		return behind(txn, l.number, e.number, seq, &w.first)
	})
	if errors.Is(err, errDamaged) {
		w, err = window{first: e.next}, nil
	}
	if err != nil || len(w.messages) > 0 {
		return w, err
	}
	q.mu.Lock()
	missed := l.has(seq)
	q.mu.Unlock()
	if !missed { // it has left meanwhile, and its epoch with it
		return w, nil
	}
	return q.rescue(l, seq, w.first), nil
}

// rescue looks for what the engine does not find any more in the files
// themselves: of the chunks of the lane between seq and next it returns the
// first that can be read, or a window that begins behind them.
func (q *Queue) rescue(l *lane, seq, next uint64) window {
	best := window{first: next}
	err := scanStore(q.opts.Dir, func(f frame, _ place) error {
		if f.kind != frameChunk || (f.store != l.store && !l.Local) || f.lane != l.number || f.first >= best.first || f.last() < seq {
			return nil
		}
		w, damage := q.unpacker.unpack(f)
		if damage == nil && (len(best.messages) == 0 || w.first < best.first) {
			best = w
		}
		return nil
	})
	if err != nil {
		q.log.Error("store not searched for what is missing", "lane", l.name, "seq", seq, "error", err)
	}
	if len(best.messages) > 0 {
		q.log.Warn("messages found that the index has lost", "lane", l.name, "first", best.first, "last", best.next()-1)
	}
	return best
}

// chunkAt returns the last chunk of an epoch that begins at or before seq.
func chunkAt(txn *badger.Txn, lane uint8, number uint32, seq uint64) ([]byte, error) {
	it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: epochPrefix(lane, number)})
	defer it.Close()
	it.Seek(chunkKey(lane, number, seq))
	if !it.Valid() {
		return nil, nil
	}
	if _, first, ok := parseChunkKey(it.Item().Key()); !ok || first > seq {
		return nil, nil
	}
	return it.Item().ValueCopy(nil)
}

// behind finds where the first chunk behind seq begins; if there is none in
// the epoch, first stays as it is.
func behind(txn *badger.Txn, lane uint8, number uint32, seq uint64, first *uint64) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: epochPrefix(lane, number)})
	defer it.Close()
	it.Seek(chunkKey(lane, number, seq+1))
	if it.Valid() {
		if _, f, ok := parseChunkKey(it.Item().Key()); ok && f < *first {
			*first = f
		}
	}
	return nil
}

// Reject sets a message aside that the receiver can never take: it moves to
// the dead letters, and a gap record says why.
func (q *Queue) Reject(ctx context.Context, id gateway.MessageID, reason string) error {
	l, m, err := q.message(id)
	if err != nil {
		return fmt.Errorf("reject %s: %w", id, err)
	}
	if l == nil {
		return nil // it has left already
	}
	req := &request{urgent: true, exempt: true, done: make(chan error, 1)}
	req.spans = []span{{lane: l, first: id.Seq, last: id.Seq, reason: gateway.GapRejected, detail: cut(reason, 200)}}
	if req.rows, err = q.rows([]gateway.Message{deadLetter(id, m, reason)}); err != nil {
		return fmt.Errorf("reject %s: %w", id, err)
	}
	if err := q.submit(ctx, req); err != nil {
		return fmt.Errorf("reject %s: %w", id, err)
	}
	return nil
}

// message reads one message; the lane is nil if it has left.
func (q *Queue) message(id gateway.MessageID) (*lane, gateway.Message, error) {
	q.mu.Lock()
	l := q.lookup(id)
	waits := l != nil && l.has(id.Seq)
	q.mu.Unlock()
	if l == nil {
		return nil, gateway.Message{}, fmt.Errorf("not of store %s: %w", q.store, gateway.ErrInvalid)
	}
	if !waits {
		return nil, gateway.Message{}, nil
	}
	w, err := q.read(l, id.Seq)
	if err != nil {
		return nil, gateway.Message{}, err
	}
	m, ok := w.at(id.Seq)
	if !ok {
		return nil, gateway.Message{}, nil // damaged; Next finds that out
	}
	m.ID = id
	return l, m, nil
}

// cut shortens a text to n bytes, at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// List returns up to limit messages of a lane that wait, from sequence number
// from on, without handing them out.
func (q *Queue) List(name gateway.Lane, from uint64, limit int) ([]gateway.Message, error) {
	if q.own[name] == nil {
		return nil, q.noLane(name)
	}
	return q.ListOf(q.store, name, from, limit)
}

// ListOf is List for the messages of a lane that a given store has accepted,
// which may be another one: see LaneStats.Store.
func (q *Queue) ListOf(store string, name gateway.Lane, from uint64, limit int) ([]gateway.Message, error) {
	q.mu.Lock()
	l := q.lookup(gateway.MessageID{Store: store, Lane: name})
	q.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("lane %.40q has nothing of store %.40q: %w", name, store, gateway.ErrInvalid)
	}
	return q.list(l, from, limit)
}

func (q *Queue) list(l *lane, from uint64, limit int) ([]gateway.Message, error) {
	var list []gateway.Message
	var w window
	q.mu.Lock()
	seq, next := max(from, l.acked+1), l.next()
	q.mu.Unlock()
	for seq < next && len(list) < limit {
		if _, ok := w.at(seq); !ok {
			var err error
			if w, err = q.read(l, seq); err != nil {
				return list, fmt.Errorf("list lane %s: %w", l.name, err)
			}
		}
		m, ok := w.at(seq)
		if !ok { // damage
			seq = max(seq+1, w.first)
			continue
		}
		q.mu.Lock()
		waits := l.has(seq)
		q.mu.Unlock()
		if waits {
			m.ID = l.id(seq)
			list = append(list, m)
		}
		seq++
	}
	return list, nil
}

func (q *Queue) noLane(name gateway.Lane) error {
	return fmt.Errorf("lane %.40q: there is %s: %w", name, strings.Join(q.laneNames(), ", "), gateway.ErrInvalid)
}

func (q *Queue) laneNames() []string {
	var names []string
	for name := range q.own {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}
