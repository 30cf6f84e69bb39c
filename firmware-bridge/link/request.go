package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// request sends a request in the session in force, or the next one, and returns
// what the answer has behind its status.
func (c *Conn) request(ctx context.Context, t Type, payload []byte, each time.Duration) ([]byte, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	return c.requestIn(ctx, s, t, payload, each)
}

func (c *Conn) requestIn(ctx context.Context, s *session, t Type, payload []byte, each time.Duration) ([]byte, error) {
	r, err := c.exchange(ctx, s, t, payload, each)
	if err != nil {
		return nil, err
	}
	return result(t, r.payload)
}

// result takes the status off an answer.
func result(t Type, payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return nil, fmt.Errorf("the answer to %v is empty: %w", t, gateway.ErrInvalid)
	}
	if status := Status(payload[0]); status != OK {
		return nil, &StatusError{t, status, clean(payload[1:])}
	}
	return payload[1:], nil
}

// Do carries out an action of the descriptor: args are in its order, None for one
// that is left out; lease, if not 0, is how long an output keeps its value without
// being asked again. It returns the results in the order of the descriptor. One
// action is under way at a time, and none is carried out twice. The error wraps
// [ErrOutcome] if the action may have been carried out, is a [StatusError] if the
// microcontroller refused or failed.
func (c *Conn) Do(ctx context.Context, a Action, lease time.Duration, args ...Value) ([]Value, error) {
	select {
	case c.doing <- struct{}{}:
		defer func() { <-c.doing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	payload, err := doPayload(a, lease, args)
	if err != nil {
		return nil, err
	}
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	r, err := c.exchange(ctx, s, TypeDo, payload, max(answerTime, time.Duration(a.Timeout)*time.Millisecond))
	if err != nil {
		if r.sent {
			return nil, fmt.Errorf("%s: %w: %w", a.Name, ErrOutcome, err)
		}
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	body, err := result(TypeDo, r.payload)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	values, ok := DecodeValues(body)
	if !ok || len(values) < len(a.Results) {
		return nil, fmt.Errorf("%s was carried out, but its results are malformed: %w", a.Name, gateway.ErrInvalid)
	}
	return values[:len(a.Results)], nil
}

func doPayload(a Action, lease time.Duration, args []Value) ([]byte, error) {
	ms := lease.Milliseconds()
	switch {
	case ms < 0 || ms > math.MaxInt32 || lease > 0 && ms == 0:
		return nil, fmt.Errorf("%s: a lease of %v is not between 1 ms and 24 days: %w", a.Name, lease, gateway.ErrInvalid)
	case ms > 0 && !a.Lease:
		return nil, fmt.Errorf("%s takes no lease: %w", a.Name, gateway.ErrInvalid)
	case len(args) > len(a.Args):
		return nil, fmt.Errorf("%s takes %d arguments, not %d: %w", a.Name, len(a.Args), len(args), gateway.ErrInvalid)
	}
	payload := le.AppendUint32([]byte{a.ID}, uint32(ms))
	for i, v := range args {
		if !v.fits() {
			return nil, fmt.Errorf("%s: %s: %v cannot be sent: %w", a.Name, a.Args[i].Name, v, gateway.ErrInvalid)
		}
		payload = v.Append(payload)
	}
	return payload, nil
}

// Get reads a setting.
func (c *Conn) Get(ctx context.Context, s Setting) (Value, error) {
	return c.setting(ctx, TypeGet, s, nil)
}

// Set stores a setting, and returns it as it was stored.
func (c *Conn) Set(ctx context.Context, s Setting, v Value) (Value, error) {
	if !v.fits() {
		return Value{}, fmt.Errorf("%s: %v cannot be sent: %w", s.Name, v, gateway.ErrInvalid)
	}
	return c.setting(ctx, TypeSet, s, v.Append(nil))
}

func (c *Conn) setting(ctx context.Context, t Type, s Setting, value []byte) (Value, error) {
	body, err := c.request(ctx, t, append([]byte{s.ID}, value...), answerTime)
	if err != nil {
		return Value{}, fmt.Errorf("setting %s: %w", s.Name, err)
	}
	v, _, ok := cutValue(body)
	if !ok {
		return Value{}, fmt.Errorf("setting %s: the answer is malformed: %w", s.Name, gateway.ErrInvalid)
	}
	return v, nil
}

// Descriptor returns what the microcontroller says it is. It is fetched once, as
// long as its hash stays the same. The error wraps gateway.ErrUnknown if there is
// none, as with a loader.
func (c *Conn) Descriptor(ctx context.Context) (*Descriptor, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	h := s.hello
	if h.DescriptorLength == 0 {
		return nil, fmt.Errorf("the %v of the microcontroller has no descriptor: %w", h.Role, gateway.ErrUnknown)
	}
	if d := c.mem.descriptor(h); d != nil {
		return d, nil
	}
	text, err := c.fetch(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("fetching the descriptor: %w", err)
	}
	if Checksum(text) != h.DescriptorHash {
		return nil, fmt.Errorf("the descriptor does not have the hash that was told: %w", gateway.ErrInvalid)
	}
	d, err := ParseDescriptor(text)
	if err != nil {
		return nil, err
	}
	c.mem.keepDescriptor(h, d)
	return d, nil
}

func (c *Conn) fetch(ctx context.Context, s *session) ([]byte, error) {
	text := make([]byte, 0, s.hello.DescriptorLength)
	for len(text) < cap(text) {
		piece, err := c.requestIn(ctx, s, TypeDescribe, le.AppendUint16(nil, uint16(len(text))), answerTime)
		if err != nil {
			return nil, err
		}
		if len(piece) == 0 || len(piece) > cap(text)-len(text) {
			return nil, errors.New("a piece is empty, or longer than what is left")
		}
		text = append(text, piece...)
	}
	return text, nil
}

func (m *Memory) descriptor(h Hello) *Descriptor {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cached != nil && m.cachedHash == h.DescriptorHash && m.cachedSize == h.DescriptorLength {
		return m.cached
	}
	return nil
}

// Recall takes in the text of a descriptor that was kept over a restart, so that it
// is not fetched again as long as it is right.
func (m *Memory) Recall(text []byte) (*Descriptor, error) {
	d, err := ParseDescriptor(text)
	if err != nil {
		return nil, err
	}
	m.keepDescriptor(Hello{DescriptorLength: uint16(len(text)), DescriptorHash: Checksum(text)}, d)
	return d, nil
}

func (m *Memory) keepDescriptor(h Hello, d *Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cached, m.cachedHash, m.cachedSize = d, h.DescriptorHash, h.DescriptorLength
}
