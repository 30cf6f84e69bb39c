package uplinktest

import (
	"context"
	"slices"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
)

// Store is a queue in memory, first in first out whatever the lane; lanes can
// be held. The zero value is empty.
type Store struct {
	mu       sync.Mutex
	messages []gateway.Message // message n has the sequence number n+1
	gone     []bool            // acknowledged or rejected
	lanes    map[gateway.Lane]*lane
	left     int
	rejected []gateway.MessageID
	changed  chan struct{} // closed at the next change
}

// lane are the messages of one lane, as indexes.
type lane struct {
	indexes []int
	head    int // of indexes: the next to hand out
	held    bool
}

// Add appends a JSON message with the given body to the lane telemetry.
func (s *Store) Add(body []byte) gateway.MessageID { return s.AddTo(gateway.LaneTelemetry, body) }

// AddTo appends a JSON message to a lane. The lanes share one row of numbers.
func (s *Store) AddTo(name gateway.Lane, body []byte) gateway.MessageID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := gateway.MessageID{Store: "mem", Lane: name, Seq: uint64(len(s.messages) + 1)}
	s.messages = append(s.messages, gateway.Message{
		ID: id, Kind: gateway.KindTelemetry, ContentType: "application/json", Body: body,
	})
	s.gone = append(s.gone, false)
	l := s.lane(name)
	l.indexes = append(l.indexes, len(s.messages)-1)
	s.left++
	s.wake()
	return id
}

// Next waits for the next message that was not handed out.
func (s *Store) Next(ctx context.Context) (gateway.Message, error) {
	for {
		s.mu.Lock()
		if m, ok := s.next(); ok {
			s.mu.Unlock()
			return m, nil
		}
		changed := s.signal()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return gateway.Message{}, ctx.Err()
		}
	}
}

// next hands out the first message that may go. The caller holds mu.
func (s *Store) next() (gateway.Message, bool) {
	var first *lane
	for _, l := range s.lanes {
		for l.head < len(l.indexes) && s.gone[l.indexes[l.head]] {
			l.head++
		}
		if l.held || l.head == len(l.indexes) {
			continue
		}
		if first == nil || l.indexes[l.head] < first.indexes[first.head] {
			first = l
		}
	}
	if first == nil {
		return gateway.Message{}, false
	}
	first.head++
	return s.messages[first.indexes[first.head-1]], true
}

// lane makes a lane at its first use. The caller holds mu.
func (s *Store) lane(name gateway.Lane) *lane {
	if s.lanes == nil {
		s.lanes = make(map[gateway.Lane]*lane)
	}
	if s.lanes[name] == nil {
		s.lanes[name] = &lane{}
	}
	return s.lanes[name]
}

// Hold keeps a lane back, or lets it go.
func (s *Store) Hold(name gateway.Lane, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(name).held = held
	s.wake()
}

// Ack removes messages.
func (s *Store) Ack(ids ...gateway.MessageID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(ids)
	return nil
}

// Reject removes a message and remembers it.
func (s *Store) Reject(_ context.Context, id gateway.MessageID, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = append(s.rejected, id)
	s.remove([]gateway.MessageID{id})
	return nil
}

// Rewind starts again at the oldest message that is left.
func (s *Store) Rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		l.head = 0
	}
	s.wake()
}

// Rejected lists what was rejected.
func (s *Store) Rejected() []gateway.MessageID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rejected)
}

// WaitLeft waits until no more than n messages are left.
func (s *Store) WaitLeft(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		left, changed := s.left, s.signal()
		s.mu.Unlock()
		if left <= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) remove(ids []gateway.MessageID) {
	for _, id := range ids {
		if i := int(id.Seq) - 1; !s.gone[i] {
			s.gone[i] = true
			s.left--
		}
	}
	s.wake()
}

func (s *Store) signal() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *Store) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
