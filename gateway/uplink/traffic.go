package uplink

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// flight is a message that was sent and is not yet confirmed.
type flight struct {
	id      gateway.MessageID
	receipt Receipt
	size    int // bytes on the line
	sent    time.Time
}

func (f flight) landed() bool {
	select {
	case <-f.receipt.Done():
		return true
	default:
		return false
	}
}

// sessionEnd says how a session ended; err is nil for a stop or a renewal.
type sessionEnd struct {
	err         error
	acked       uint64
	unconfirmed uint64
}

// traffic is the flow over one session: fill sends, settle confirms. A message
// in flight holds one of the slots, which makes the window.
type traffic struct {
	*Sender
	session  Session
	slots    chan struct{}
	flights  chan flight // in the order of sending, closed by fill
	patience *time.Timer // ends the wait for a PUBACK
	sent     uint64      // owned by fill
	acked    uint64      // owned by settle
	progress time.Time   // when the last PUBACK came; owned by settle
	left     *flight     // the oldest without a PUBACK when the session was lost; owned by settle
	// widen opens the window again after it was narrowed to one message.
	widen func()
}

// serve runs a session to its end and cleans up behind it. The store is rewound
// as the link returns, not when it is lost: from that moment on a backlog is
// woven with what is new.
func (s *Sender) serve(ctx context.Context, session Session) sessionEnd {
	s.opts.Store.Rewind()
	s.gate.begin()
	window := s.opts.Upstream.Window()
	t := &traffic{
		Sender: s, session: session,
		slots: make(chan struct{}, window), flights: make(chan flight, window),
		patience: time.NewTimer(s.opts.AckTimeout),
	}
	t.narrow(window)
	feed, stopFeed := context.WithCancel(ctx)
	defer stopFeed()
	var fillErr error
	var filling sync.WaitGroup
	filling.Go(func() { fillErr = t.fill(feed) })
	err := t.settle(ctx, stopFeed)
	stopFeed()
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
	defer cancel()
	if e := session.Close(goodbye); e != nil {
		s.log.Debug("uplink not closed cleanly", "error", e)
	}
	filling.Wait() // Close has freed a Publish that was stuck
	if err == nil {
		err = fillErr
	}
	end := sessionEnd{err: err, acked: t.acked, unconfirmed: t.sent - t.acked}
	s.suspects.lost(t.left, end.unconfirmed)
	s.state.count(func(st *Stats) { st.Resent += end.unconfirmed })
	return end
}

// narrow lets one message at a time through the window, if one is suspected to
// be the reason of losses.
func (t *traffic) narrow(window int) {
	if !t.suspects.isolated() {
		t.widen = func() {}
		return
	}
	for range window - 1 {
		t.slots <- struct{}{}
	}
	t.widen = sync.OnceFunc(func() {
		for range window - 1 {
			<-t.slots
		}
	})
}

// fill sends messages as long as the window has room. It returns nil when ctx
// ends, or the error that makes the session useless.
func (t *traffic) fill(ctx context.Context) error {
	defer close(t.flights)
	next := newTaker(t.Sender)
	defer next.close()
	if err := t.tryAnother(ctx, next); err != nil {
		return err
	}
	for t.slot(ctx) {
		m, err := next.take(ctx)
		if err != nil {
			return nil // take fails only when ctx ends
		}
		if err := t.send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// slot waits for room in the window; it reports false when ctx ends.
func (t *traffic) slot(ctx context.Context) bool {
	select {
	case t.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// send hands a message, which has a slot, to the session. What can never be
// sent is set aside. An error makes the session useless.
func (t *traffic) send(ctx context.Context, m gateway.Message) error {
	receipt, err := t.session.Publish(ctx, m)
	switch {
	case err == nil:
		t.sent++
		t.state.count(func(st *Stats) { st.Published++ })
		f := flight{id: m.ID, receipt: receipt, size: receipt.Size(), sent: time.Now()}
		t.gate.sent(f.size)
		t.flights <- f
	case isHopeless(err):
		t.reject(ctx, m.ID, err)
		<-t.slots
	case ctx.Err() == nil:
		return fmt.Errorf("send %s: %w", m.ID, err)
	}
	return nil
}

// settle confirms messages until the session ends: nil after a stop or a
// renewal, else why. After endFeed no new message is sent, and the session
// ends once the PUBACKs that are due have come.
func (t *traffic) settle(ctx context.Context, endFeed func()) error {
	stop, renew := ctx.Done(), renewal(t.session)
	var grace <-chan time.Time
	var oldest *flight
	defer t.patience.Stop()
	for {
		var more bool
		var err error
		if oldest, more, err = t.confirm(oldest); err != nil || !more {
			return err
		}
		incoming, puback := t.expect(oldest)
		select {
		case f, ok := <-incoming:
			if !ok {
				return nil
			}
			oldest = &f
		case <-puback:
		case <-t.session.Done():
			return t.lost(oldest)
		case <-t.patience.C:
			return fmt.Errorf("no PUBACK for %s within %v: %w", oldest.id, t.opts.AckTimeout, gateway.ErrTimeout)
		case <-renew:
			renew = nil
			endFeed()
		case <-stop:
			stop, grace = nil, time.After(t.opts.Grace)
		case <-grace:
			return nil
		}
	}
}

// expect says what to wait for: the PUBACK of the oldest message in flight, as
// long as patience lasts, or the next message that is sent. On a slow line the
// window can take longer than AckTimeout, so that patience begins anew with
// each PUBACK.
func (t *traffic) expect(oldest *flight) (incoming <-chan flight, puback <-chan struct{}) {
	if oldest == nil {
		t.patience.Stop()
		return t.flights, nil
	}
	since := oldest.sent
	if t.progress.After(since) { // a slow line, not a dead one
		since = t.progress
	}
	t.patience.Reset(time.Until(since.Add(t.opts.AckTimeout)))
	return nil, oldest.receipt.Done()
}

// confirm acknowledges what has landed, in order and in one batch. It returns
// the oldest message that is still in flight, nil if none is known, and
// whether more can come.
func (t *traffic) confirm(oldest *flight) (rest *flight, more bool, err error) {
	var ids []gateway.MessageID
	size := 0
	more = true
	for {
		if oldest == nil {
			if oldest, more = t.poll(); oldest == nil {
				break
			}
		}
		if !oldest.landed() {
			break
		}
		if err = oldest.receipt.Err(); err != nil {
			err = fmt.Errorf("PUBACK of %s: %w", oldest.id, err)
			break
		}
		if t.suspects.confirmed(*oldest) {
			defer t.widen() // after the slot of the suspect itself is free
		}
		ids = append(ids, oldest.id)
		size += oldest.size
		oldest = nil
	}
	if ackErr := t.acknowledge(ids, size); ackErr != nil {
		err = ackErr
	}
	return oldest, more, err
}

// poll takes the next flight, if there is one already; more is false when fill
// has ended and nothing is left.
func (t *traffic) poll() (f *flight, more bool) {
	select {
	case next, ok := <-t.flights:
		if !ok {
			return nil, false
		}
		return &next, true
	default:
		return nil, true
	}
}

// acknowledge removes from the store what was confirmed, size bytes on the line.
func (t *traffic) acknowledge(ids []gateway.MessageID, size int) error {
	if len(ids) == 0 {
		return nil
	}
	if err := t.opts.Store.Ack(ids...); err != nil {
		return fmt.Errorf("%d messages were delivered and could not be removed, they will be sent again: %w", len(ids), err)
	}
	n := uint64(len(ids))
	t.acked += n
	t.gate.landed(size)
	t.progress = time.Now()
	t.pause.reset()
	t.heart.Beat() // the window may take long to drain, with nothing new to take
	t.state.count(func(st *Stats) { st.Acknowledged += n; st.LastPuback = time.Now() })
	t.state.settled(ConditionThrottled, ConditionQuota)
	for range ids {
		<-t.slots
	}
	return nil
}

// lost takes along the PUBACKs that came just before the end.
func (t *traffic) lost(oldest *flight) error {
	var err error
	if t.left, _, err = t.confirm(oldest); err != nil {
		return err
	}
	if err := t.session.Err(); err != nil {
		return err
	}
	return fmt.Errorf("session ended: %w", gateway.ErrUnavailable)
}

// renewal is the channel that asks for a new session; nil never does.
func renewal(s Session) <-chan struct{} {
	if r, ok := s.(Renewer); ok {
		return r.Renew()
	}
	return nil
}
