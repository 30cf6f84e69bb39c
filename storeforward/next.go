package storeforward

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// weights share the link between lanes that all have messages.
var weights = map[Priority]int{PriorityHigh: 4, PriorityNormal: 1}

// Next waits for the next message to send and hands each out once, until
// Rewind. Within a lane the order is that of acceptance.
func (q *Queue) Next(ctx context.Context) (gateway.Message, error) {
	for {
		q.mu.Lock()
		l := q.choose()
		if l == nil {
			q.mu.Unlock()
			select {
			case <-q.ready:
				continue
			case <-ctx.Done():
				return gateway.Message{}, ctx.Err()
			case <-q.stop:
				return gateway.Message{}, ErrClosed
			}
		}
		if r, ok := l.window.at(l.head); ok && !q.hasExpired(l, r) {
			m := r.message
			m.ID = l.id(q.store, l.head)
			l.head++
			if l.head == l.window.first+uint64(len(l.window.records)) {
				l.window = window{} // let go of the memory
			}
			q.mu.Unlock()
			return m, nil
		}
		head := l.head
		q.mu.Unlock()
		if err := q.advance(ctx, l, head); err != nil {
			return gateway.Message{}, err
		}
	}
}

// choose picks the lane that goes next by smooth weighted round robin: each
// lane with messages earns its weight, the richest goes and pays for all.
func (q *Queue) choose() *lane {
	var best *lane
	total := 0
	for _, l := range q.lanes {
		l.skipAcked()
		if l.Local || l.head >= l.next() {
			continue
		}
		w := weights[l.Priority]
		l.credit += w
		total += w
		if best == nil || l.credit > best.credit || (l.credit == best.credit && l.number < best.number) {
			best = l
		}
	}
	if best != nil {
		best.credit -= total
	}
	return best
}

func (q *Queue) hasExpired(l *lane, r record) bool {
	return l.TTL > 0 && !r.accepted.IsZero() && q.opts.Clock.Trusted() &&
		q.opts.Clock.Now().Sub(r.accepted) >= l.TTL
}

// advance makes the message at head ready to be handed out: it reads the next
// piece of the lane, or gives up what has expired or cannot be read.
func (q *Queue) advance(ctx context.Context, l *lane, head uint64) error {
	q.mu.Lock()
	w := l.window
	q.mu.Unlock()
	if _, ok := w.at(head); !ok {
		var err error
		if w, err = q.read(l, head); err != nil {
			return fmt.Errorf("store %s: read %s: %w", q.store, l.id(q.store, head), err)
		}
		q.mu.Lock()
		l.window = w
		q.mu.Unlock()
	}
	last := head
	if _, ok := w.at(head); !ok { // damage: go on behind it
		q.mu.Lock()
		last = min(w.first, l.next()) - 1
		gone := l.head != head || last < head
		q.mu.Unlock()
		if gone {
			return nil
		}
		return q.giveUp(ctx, span{lane: l, first: head, last: last, reason: gateway.GapDamaged})
	}
	expired := 0
	for r, ok := w.at(head); ok && q.hasExpired(l, r); r, ok = w.at(head + uint64(expired)) {
		expired++
	}
	if expired == 0 {
		return nil
	}
	return q.giveUp(ctx, span{lane: l, first: head, last: head + uint64(expired) - 1, reason: gateway.GapExpired})
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
	err := q.db.View(func(txn *badger.Txn) error {
		first, value, err := chunkAt(txn, l.number, e.number, seq)
		if err != nil {
			return err
		}
		if value != nil {
			records, err := q.decode(value)
			if w = (window{first: first, records: records}); err == nil || seq < first+uint64(len(records)) {
				return nil
			}
			q.log.Error("chunk damaged", "lane", l.name, "first", first, "readable", len(records))
		}
		w = window{first: e.next}
		return behind(txn, l.number, e.number, seq, &w.first)
	})
	return w, err
}

// decode returns the records of a chunk, beside an error those that can be read.
func (q *Queue) decode(chunk []byte) ([]record, error) {
	records, err := q.unpacker.unpack(chunk)
	if err != nil {
		return nil, err
	}
	return decodeChunk(records)
}

// chunkAt returns the last chunk of an epoch that begins at or before seq, if
// it can hold it.
func chunkAt(txn *badger.Txn, lane uint8, number uint32, seq uint64) (first uint64, value []byte, err error) {
	it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: epochPrefix(lane, number)})
	defer it.Close()
	it.Seek(chunkKey(lane, number, seq))
	if !it.Valid() {
		return 0, nil, nil
	}
	_, first, ok := parseChunkKey(it.Item().Key())
	if !ok || first > seq {
		return 0, nil, nil
	}
	value, err = it.Item().ValueCopy(nil)
	return first, value, err
}

// behind finds where the first chunk behind seq begins; if there is none in
// the epoch, first stays as it is.
func behind(txn *badger.Txn, lane uint8, number uint32, seq uint64, first *uint64) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: epochPrefix(lane, number)})
	defer it.Close()
	it.Seek(chunkKey(lane, number, seq+1))
	if it.Valid() {
		if _, f, ok := parseChunkKey(it.Item().Key()); ok && f != cursorSeq {
			*first = f
		}
	}
	return nil
}

// Reject sets a message aside that the receiver can never take: it moves to
// the dead letters, and a gap record says why.
func (q *Queue) Reject(ctx context.Context, id gateway.MessageID, reason string) error {
	l := q.lanes[id.Lane]
	if id.Store != q.store || l == nil {
		return fmt.Errorf("reject %s: not of store %s: %w", id, q.store, gateway.ErrInvalid)
	}
	w, err := q.read(l, id.Seq)
	if err != nil {
		return fmt.Errorf("reject %s: %w", id, err)
	}
	r, ok := w.at(id.Seq)
	if !ok {
		return nil // it has left already
	}
	req := &request{urgent: true, exempt: true, done: make(chan error, 1)}
	req.spans = []span{{lane: l, first: id.Seq, last: id.Seq, reason: gateway.GapRejected, detail: cut(reason, 200)}}
	req.messages = []gateway.Message{deadLetter(id, r.message, reason)}
	if err := q.submit(ctx, req); err != nil {
		return fmt.Errorf("reject %s: %w", id, err)
	}
	return nil
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
	l := q.lanes[name]
	if l == nil {
		return nil, fmt.Errorf("lane %.40q: there is %s: %w", name, strings.Join(q.laneNames(), ", "), gateway.ErrInvalid)
	}
	var list []gateway.Message
	var w window
	q.mu.Lock()
	seq, next := max(from, l.acked+1), l.next()
	q.mu.Unlock()
	for ; seq < next && len(list) < limit; seq++ {
		if _, ok := w.at(seq); !ok {
			var err error
			if w, err = q.read(l, seq); err != nil {
				return list, fmt.Errorf("list lane %s: %w", name, err)
			}
		}
		q.mu.Lock()
		gone := seq <= l.acked || l.gone(seq)
		q.mu.Unlock()
		if r, ok := w.at(seq); ok && !gone {
			m := r.message
			m.ID = l.id(q.store, seq)
			list = append(list, m)
		}
	}
	return list, nil
}

func (q *Queue) laneNames() []string {
	var names []string
	for name := range q.lanes {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}
