package storeforward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// VerifyReport says what Verify has read.
type VerifyReport struct {
	Messages uint64 `json:"messages"`
	Chunks   uint64 `json:"chunks"`
	// Bytes is the size of the bodies.
	Bytes   int64          `json:"bytes"`
	Damaged []DamagedRange `json:"damaged,omitempty"`
}

// DamagedRange is a run of messages that wait and cannot be read.
type DamagedRange struct {
	Store   string       `json:"store"`
	Lane    gateway.Lane `json:"lane"`
	First   uint64       `json:"first"`
	Last    uint64       `json:"last"`
	Problem string       `json:"problem"`
}

// Verify reads every message that waits, as Next would, and hands none out. It
// calls progress now and then with the number of messages looked at and the
// number that there were at the beginning.
func (q *Queue) Verify(ctx context.Context, progress func(done, total uint64)) (VerifyReport, error) {
	var report VerifyReport
	var done, total uint64
	lanes := q.snapshot()
	for _, l := range lanes {
		total += uint64(q.waitingIn(l))
	}
	for _, l := range lanes {
		q.mu.Lock()
		seq, next := l.acked+1, l.next()
		q.mu.Unlock()
		for seq < next {
			if err := ctx.Err(); err != nil {
				return report, err
			}
			w, err := q.read(l, seq)
			if err != nil {
				return report, fmt.Errorf("verify lane %s: %w", l.name, err)
			}
			n := report.add(q, l, w, seq, next)
			done += n
			seq = max(seq+1, w.next())
			if progress != nil {
				progress(min(done, total), total)
			}
		}
	}
	return report, nil
}

// add takes a window into the report, or the damage before it, and returns how
// many messages that were.
func (r *VerifyReport) add(q *Queue, l *lane, w window, seq, next uint64) (n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := w.at(seq); !ok {
		last := min(max(w.first, seq+1), next) - 1
		if gone := l.mark().covers(seq, last); !gone {
			r.Damaged = append(r.Damaged, DamagedRange{
				Store: l.store, Lane: l.name, First: seq, Last: last, Problem: "cannot be read; it becomes a gap record when its turn comes",
			})
		}
		return last - seq + 1
	}
	r.Chunks++
	for ; seq < w.next() && seq < next; seq++ {
		if l.has(seq) {
			m, _ := w.at(seq)
			r.Messages++
			r.Bytes += int64(len(m.Body))
			n++
		}
	}
	return n
}

// Purge gives up everything that waits in a lane, in inherited ones of its
// name too, with gap records. Gap records themselves cannot be given up: what
// they explain would be missing without an explanation.
func (q *Queue) Purge(ctx context.Context, name gateway.Lane) (given uint64, err error) {
	if q.own[name] == nil {
		return 0, q.noLane(name)
	}
	if name == gateway.LaneGaps {
		return 0, fmt.Errorf("lane %s tells the receiver what it cannot get; it is not purged: %w", name, gateway.ErrInvalid)
	}
	r := &request{urgent: true, exempt: true, done: make(chan error, 1)}
	for _, l := range q.snapshot() {
		if l.name != name {
			continue
		}
		reason := gateway.GapPurged
		if l.Local {
			reason = Removed
		}
		q.mu.Lock()
		given += l.waiting()
		s := span{lane: l, first: l.acked + 1, last: l.next() - 1, reason: reason}
		q.mu.Unlock()
		if s.last >= s.first {
			r.spans = append(r.spans, s)
		}
	}
	if len(r.spans) == 0 {
		return 0, nil
	}
	if err := q.submit(ctx, r); err != nil {
		return 0, fmt.Errorf("purge lane %s: %w", name, err)
	}
	return given, nil
}

// Discard removes dead letters.
func (q *Queue) Discard(ctx context.Context, ids ...gateway.MessageID) error {
	r := &request{urgent: true, exempt: true, done: make(chan error, 1)}
	for _, id := range ids {
		l, err := q.letterLane(id)
		if err != nil {
			return fmt.Errorf("discard: %w", err)
		}
		r.spans = append(r.spans, span{lane: l, first: id.Seq, last: id.Seq, reason: Removed})
	}
	if len(r.spans) == 0 {
		return nil
	}
	if err := q.submit(ctx, r); err != nil {
		return fmt.Errorf("discard dead letters: %w", err)
	}
	return nil
}

// letterLane finds the lane of a dead letter that is there.
func (q *Queue) letterLane(id gateway.MessageID) (*lane, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lookup(id)
	if id.Lane != gateway.LaneDeadLetter || l == nil || !l.has(id.Seq) {
		return nil, fmt.Errorf("there is no dead letter %s: %w", id, gateway.ErrInvalid)
	}
	return l, nil
}

// Retry appends the message of a dead letter to its lane again, as a new
// message, and removes the letter, both in one transaction.
func (q *Queue) Retry(ctx context.Context, id gateway.MessageID) (gateway.MessageID, error) {
	l, err := q.letterLane(id)
	if err != nil {
		return gateway.MessageID{}, fmt.Errorf("retry: %w", err)
	}
	_, m, err := q.message(id)
	if err != nil {
		return gateway.MessageID{}, fmt.Errorf("retry %s: %w", id, err)
	}
	m, err = revive(m)
	if err != nil {
		return gateway.MessageID{}, fmt.Errorf("retry %s: %w", id, err)
	}
	r := &request{urgent: true, done: make(chan error, 1)}
	if err := q.put(r, m); err != nil {
		return gateway.MessageID{}, fmt.Errorf("retry %s: %w", id, err)
	}
	r.spans = []span{{lane: l, first: id.Seq, last: id.Seq, reason: Removed}}
	if err := q.submit(ctx, r); err != nil {
		if errors.Is(err, errNoRoom) {
			err = fmt.Errorf("%s: %w", q.refusalReason(), gateway.ErrFull)
		}
		return gateway.MessageID{}, fmt.Errorf("retry %s: %w", id, err)
	}
	return r.ids[0], nil
}

// revive makes the message of a dead letter again.
func revive(letter gateway.Message) (gateway.Message, error) {
	var b deadLetterBody
	if err := json.Unmarshal(letter.Body, &b); err != nil {
		return gateway.Message{}, fmt.Errorf("not a dead letter: %w: %w", gateway.ErrInvalid, err)
	}
	id, err := gateway.ParseMessageID(b.ID)
	if err != nil {
		return gateway.Message{}, fmt.Errorf("it is not a message that was to be sent: %w", err)
	}
	if b.Bytes > 0 {
		return gateway.Message{}, fmt.Errorf("only the beginning of its body was kept: %w", gateway.ErrInvalid)
	}
	m := gateway.Message{
		ID: gateway.MessageID{Lane: id.Lane}, Kind: b.Kind, Created: b.Created,
		CorrelationID: b.Correlation, ContentType: b.ContentType, Body: b.Body,
	}
	switch {
	case b.Text != "":
		m.Body = []byte(b.Text)
	case b.Base64 != nil:
		m.Body = b.Base64
	}
	return m, nil
}
