package storeforward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Queue is an open store. All methods are safe for concurrent use, except that
// only one goroutine at a time calls Next.
type Queue struct {
	opts     Options
	engine   *engine
	sealer   *sealer
	unpacker *unpacker
	ages     *ages
	witness  *witness
	salvage  *salvage
	log      *slog.Logger
	store    string
	journal  *Journal

	requests chan *request
	stop     chan struct{} // closed by Close
	stopped  chan struct{} // closed by the committer when it has ended
	// helpers are the trimmer and the salvager.
	helpers  sync.WaitGroup
	closing  sync.Once
	closeErr error
	// outlets hand the lanes out; the one without a name is Next's own.
	outlets map[string]*Outlet

	// lanes are all lanes, own the ones that take messages. Both are complete
	// when Open returns; mu guards what the lanes hold.
	lanes []*lane
	own   map[gateway.Lane]*lane
	mu    sync.Mutex
	// room is closed, and made anew, each time space has come free.
	room    chan struct{}
	refused refusal

	step func(string)

	commits       atomic.Uint64
	failures      atomic.Uint64
	number        atomic.Uint32 // of the last transaction, in the life of the store
	confirmed     atomic.Uint32 // the number of the last one that has not failed
	ticks         atomic.Uint64 // of the idle committer
	reads         atomic.Uint64
	bytesAccepted atomic.Uint64
	opened        time.Time
	writtenBefore uint64 // by this process, before the store was opened
}

// refusal is why the committer last turned messages away or failed.
type refusal struct {
	reason string
	since  time.Time
}

// Store is the id of this store: random, made when the store was created.
func (q *Queue) Store() string { return q.store }

// Journal is the journal of commands that shares the store's transactions.
func (q *Queue) Journal() *Journal { return q.journal }

// Append accepts messages, all or none, into the lanes that their IDs name and
// returns the ids given, in the same order. When it returns nil the messages
// are on disk. It keeps the bodies; do not change them afterwards.
//
// A full lane makes it wait for room, until ctx ends, if the lane's overflow
// policy is Block; else the error wraps gateway.ErrFull. A message that can
// never be accepted gives gateway.ErrInvalid.
func (q *Queue) Append(ctx context.Context, messages ...gateway.Message) ([]gateway.MessageID, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	r := &request{done: make(chan error, 1)}
	if err := q.put(r, messages...); err != nil {
		return nil, err
	}
	for {
		room := q.roomSignal()
		err := q.submit(ctx, r)
		if err == nil {
			return r.ids, nil
		}
		if !errors.Is(err, errNoRoom) {
			return nil, fmt.Errorf("store %s: append: %w", q.store, err)
		}
		if !r.blocks() {
			return nil, fmt.Errorf("store %s: %s: %w", q.store, q.refusalReason(), gateway.ErrFull)
		}
		if err := q.awaitRoom(ctx, room); err != nil {
			return nil, fmt.Errorf("store %s: %s: %w (%w)", q.store, q.refusalReason(), gateway.ErrFull, err)
		}
	}
}

// put puts messages into a request and checks what can be known before the
// committer sees it.
func (q *Queue) put(r *request, messages ...gateway.Message) error {
	rows, err := q.rows(messages)
	if err != nil {
		return err
	}
	r.rows = rows
	count := make(map[*lane]int64, 1)
	for _, row := range rows {
		l := row.lane
		for i := range row.messages {
			if n := len(row.messages[i].Body); n > MaxBodyBytes {
				return fmt.Errorf("message of %d bytes for lane %s: the limit is %d: %w", n, l.name, MaxBodyBytes, gateway.ErrInvalid)
			}
		}
		if l.Priority == PriorityHigh {
			r.urgent = true
		}
		count[l] += int64(len(row.messages))
		if l.MaxMessages > 0 && count[l] > l.MaxMessages {
			return fmt.Errorf("more messages in one append than the %d that lane %s holds: %w", l.MaxMessages, l.name, gateway.ErrInvalid)
		}
	}
	if n := r.size(); n > MaxAppendBytes {
		return fmt.Errorf("%d bytes in one append: the limit is %d: %w", n, MaxAppendBytes, gateway.ErrInvalid)
	}
	return nil
}

// rows sorts messages by lane, without changing their order.
func (q *Queue) rows(messages []gateway.Message) ([]row, error) {
	rows := make([]row, 0, 1)
	for i := range messages {
		m := &messages[i]
		if len(rows) == 0 || m.ID.Lane != rows[len(rows)-1].lane.name {
			l := q.own[m.ID.Lane]
			if l == nil {
				return nil, fmt.Errorf("lane %.40q is not configured: %w", m.ID.Lane, gateway.ErrInvalid)
			}
			rows = append(rows, row{lane: l, messages: messages[i:i]})
		}
		last := &rows[len(rows)-1]
		last.messages = last.messages[:len(last.messages)+1]
		last.bytes += recordSize(*m)
	}
	return rows, nil
}

// submit hands a request to the committer and waits for its answer. Once the
// committer has it, ctx no longer matters: the answer is near, and leaving
// would mean not to know whether the messages were accepted.
func (q *Queue) submit(ctx context.Context, r *request) error {
	select {
	case <-q.stop: // select alone would choose at random
		return ErrClosed
	default:
	}
	select {
	case q.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.stop:
		return ErrClosed
	}
	select {
	case err := <-r.done:
		return err
	case <-q.stopped:
	}
	select {
	case err := <-r.done: // answered as the last thing
		return err
	default:
		return ErrClosed
	}
}

// retryRoom bounds how long a blocked Append goes without looking again: room
// on the file system can come back without the queue's doing.
const retryRoom = 2 * time.Second

func (q *Queue) awaitRoom(ctx context.Context, room <-chan struct{}) error {
	timer := time.NewTimer(retryRoom)
	defer timer.Stop()
	select {
	case <-room:
	case <-timer.C:
	case <-q.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (q *Queue) roomSignal() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.room
}

// Ack removes messages that the receiver has confirmed, in any order. The
// removal is written with the next commit, after a second at most. Ids that
// are not in the queue are ignored; those of a store that it never held are an
// error.
func (q *Queue) Ack(ids ...gateway.MessageID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		l := q.lookup(id)
		if l == nil {
			return fmt.Errorf("acknowledge %s: not of store %s: %w", id, q.store, gateway.ErrInvalid)
		}
		if id.Seq > l.acked && id.Seq < l.next() {
			l.count.acked += l.leave(id.Seq, id.Seq)
		}
	}
	return nil
}

// lookup finds the lane of a message, an inherited one too.
func (q *Queue) lookup(id gateway.MessageID) *lane {
	if id.Store == q.store {
		return q.own[id.Lane]
	}
	for _, l := range q.lanes {
		if l.name == id.Lane && l.store == id.Store {
			return l
		}
	}
	return nil
}

// Rewind makes Next start again at the oldest message of each lane that is
// not acknowledged; call it when a link is new. That is also the moment from
// which a lane with a backlog is woven.
func (q *Queue) Rewind() { q.Outlet("").Rewind() }

// Hold keeps a lane back: Next passes it over until it is let go. What waits
// in it is kept, and the lane's bounds apply.
func (q *Queue) Hold(name gateway.Lane, held bool) {
	q.mu.Lock()
	for _, l := range q.lanes {
		if l.name == name {
			l.held = held
		}
	}
	q.mu.Unlock()
	q.wake()
}

func (q *Queue) wake() {
	for _, o := range q.outlets {
		o.wake()
	}
}

// Close commits what is under way, writes the cursors and closes the engine.
// It is safe to call twice.
func (q *Queue) Close() error {
	q.closing.Do(func() {
		close(q.stop)
		<-q.stopped
		q.helpers.Wait()
		err := q.engine.close() // which can still kill the process
		q.step("closed")
		q.witness.close(q)
		if err != nil {
			q.closeErr = fmt.Errorf("store %s: close: %w", q.store, err)
		}
	})
	return q.closeErr
}
