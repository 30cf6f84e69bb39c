package pipeline

import (
	"context"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
)

// deviceSink is the sink of one device: it stamps readings, notes them, and
// hands them on.
type deviceSink struct {
	id    gateway.DeviceID
	clock clock.Clock
	seen  func(readings []gateway.Reading)
	next  gateway.Sink
}

// Emit implements gateway.Sink.
func (s *deviceSink) Emit(ctx context.Context, readings ...gateway.Reading) error {
	stamped := stamp(s.id, s.clock.Now(), readings)
	s.seen(stamped)
	return s.next.Emit(ctx, stamped...)
}

// Commit implements gateway.Sink.
func (s *deviceSink) Commit(ctx context.Context, batches ...[]gateway.Reading) ([]gateway.MessageID, error) {
	now := s.clock.Now()
	stamped := make([][]gateway.Reading, len(batches))
	for i, batch := range batches {
		stamped[i] = stamp(s.id, now, batch)
	}
	ids, err := s.next.Commit(ctx, stamped...)
	if err == nil {
		s.seen(slices.Concat(stamped...))
	}
	return ids, err
}

// stamp fills in what the driver left empty, in a copy.
func stamp(id gateway.DeviceID, now time.Time, readings []gateway.Reading) []gateway.Reading {
	stamped := slices.Clone(readings)
	for i := range stamped {
		r := &stamped[i]
		if r.Device == "" {
			r.Device = id
		}
		if r.Time.IsZero() {
			r.Time = now
		}
		if r.Quality == "" {
			r.Quality = gateway.Good
		}
	}
	return stamped
}
