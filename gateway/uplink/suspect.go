package uplink

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// suspects are messages for which the upstream may be closing the connection:
// MQTT 3.1.1 has no other way to say that a message is larger than the server
// takes, and one that comes again after each loss would hold up all others for
// ever. A bad line and a used-up quota look the same at first, so a message is
// given up only if all of this is true:
//
//   - convictAfter times the connection was closed soon after it was sent, with
//     nothing else in flight;
//   - it is larger than any message confirmed since the start;
//   - the next one that is not under suspicion, sent in its place, is confirmed.
//
// The last shows that neither line nor quota is to blame; the second, that it
// is no chance that just this one does not pass.
type suspects struct {
	mu      sync.Mutex
	list    []suspect
	largest int // of what was confirmed since the start, bytes on the line
}

// suspect is one message.
type suspect struct {
	id     gateway.MessageID
	size   int // bytes on the line
	losses int // that left it as the oldest without a PUBACK
	alone  int // of them with nothing else in flight, soon after it was sent
}

const (
	// isolateAfter losses with the same oldest message, one message at a time is
	// sent until that one is confirmed or given up.
	isolateAfter = 2
	// convictAfter losses of it alone it may be to blame.
	convictAfter = 5
	// maxSuspects bounds how many are remembered; the first are forgotten.
	maxSuspects = 8
	// otherWithin bounds the wait for another message to send in their place.
	otherWithin = 10 * time.Second
)

// lost notes how a session ended that nobody here has ended: oldest has no
// PUBACK, and unconfirmed messages were in flight.
func (s *suspects) lost(oldest *flight, unconfirmed uint64) {
	if oldest == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(oldest.id)
	if i < 0 {
		if len(s.list) == maxSuspects {
			s.list = slices.Delete(s.list, 0, 1)
		}
		i = len(s.list)
		s.list = append(s.list, suspect{id: oldest.id, size: oldest.size})
	}
	one := &s.list[i]
	one.losses++
	if unconfirmed > 1 || time.Since(oldest.sent) > soon {
		one.alone = 0
		return
	}
	one.alone++
	if one.size > s.largest {
		return
	}
	for j := range s.list { // one of a size that passes was lost as well
		if j != i {
			s.list[j].alone = 0
		}
	}
}

func (s *suspects) find(id gateway.MessageID) int {
	return slices.IndexFunc(s.list, func(x suspect) bool { return x.id == id })
}

// confirmed notes a PUBACK, and reports whether nothing is isolated any more by
// that.
func (s *suspects) confirmed(f flight) (free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.largest = max(s.largest, f.size)
	i := s.find(f.id)
	if i < 0 {
		return false
	}
	s.list = slices.Delete(s.list, i, i+1)
	return !s.isolating()
}

// isolated reports whether messages go one at a time.
func (s *suspects) isolated() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isolating()
}

func (s *suspects) isolating() bool {
	return slices.ContainsFunc(s.list, func(x suspect) bool { return x.losses >= isolateAfter })
}

// accused returns the messages in whose place another one should be tried, and
// whether they are to be given up if that one is confirmed. If nothing was
// confirmed since the start, the other only shows what size passes.
func (s *suspects) accused() (all []suspect, convict bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.list {
		if x.alone >= convictAfter && x.size > s.largest {
			all = append(all, x)
		}
	}
	return all, s.largest > 0
}

// acquit forgets messages that are gone.
func (s *suspects) acquit(gone []suspect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(x suspect) bool {
		return slices.ContainsFunc(gone, func(y suspect) bool { return x.id == y.id })
	})
}

// tryAnother sends another message in the place of those that are accused, and
// gives them up if it is confirmed. The session has one slot then.
func (t *traffic) tryAnother(ctx context.Context, next *taker) error {
	accused, convict := t.suspects.accused()
	if len(accused) == 0 || !t.slot(ctx) {
		return nil
	}
	aside, other := t.another(ctx, next, accused)
	sent := t.sent
	if other != nil {
		if err := t.send(ctx, *other); err != nil || !t.slot(ctx) {
			return err
		}
	}
	if t.sent > sent && convict { // with one slot: the other is confirmed
		t.giveUp(ctx, accused)
		aside = nil
	}
	<-t.slots
	for _, m := range aside {
		if !t.slot(ctx) {
			return nil
		}
		if err := t.send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// giveUp sets messages aside for which the server closes the connection.
func (t *traffic) giveUp(ctx context.Context, accused []suspect) {
	for _, x := range accused {
		t.reject(ctx, x.id, fmt.Errorf("probably larger than the server allows: it closes the connection each time this message of %d bytes is sent, and takes smaller ones: %w", x.size, ErrTooLarge))
	}
	t.suspects.acquit(accused)
	if !t.suspects.isolated() {
		t.widen()
	}
}

// another takes the next message that is not accused, nil if there is none for
// a while, and those of the accused that were handed out meanwhile.
func (t *traffic) another(ctx context.Context, next *taker, accused []suspect) (aside []gateway.Message, other *gateway.Message) {
	ctx, cancel := context.WithTimeout(ctx, otherWithin)
	defer cancel()
	for {
		m, err := next.take(ctx)
		if err != nil {
			return aside, nil
		}
		if !slices.ContainsFunc(accused, func(x suspect) bool { return x.id == m.ID }) {
			return aside, &m
		}
		aside = append(aside, m)
	}
}
