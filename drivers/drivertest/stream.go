package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// testStream runs the stream, stops it, and runs it again.
func testStream(t *testing.T, s gateway.Stream) {
	for range 2 {
		sink := &Sink{}
		ctx, cancel := context.WithTimeout(t.Context(), briefly)
		within(t, "Run after its context has ended", func() {
			if err := s.Run(ctx, sink); err != nil && !errors.Is(err, ctx.Err()) {
				t.Errorf("Run: %v", err)
			}
		})
		cancel()
		for _, batch := range sink.Batches() {
			checkReadings(t, batch)
		}
	}
}

// Sink is a gateway.Sink in memory, under the control of a test. Its ids are
// test-telemetry-1, 2, 3, …
type Sink struct {
	// Before runs ahead of each Commit and may refuse it.
	Before func(ctx context.Context, batches [][]gateway.Reading) error

	mu      sync.Mutex
	batches [][]gateway.Reading
	gaps    []gateway.Gap
	ids     uint64
}

var _ gateway.Sink = (*Sink)(nil)

// Emit implements gateway.Sink.
func (s *Sink) Emit(_ context.Context, readings ...gateway.Reading) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, slices.Clone(readings))
	return nil
}

// Commit implements gateway.Sink.
func (s *Sink) Commit(ctx context.Context, batches ...[]gateway.Reading) ([]gateway.MessageID, error) {
	if s.Before != nil {
		if err := s.Before(ctx, batches); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, batch := range batches {
		if len(batch) == 0 {
			return nil, fmt.Errorf("batch %d is empty: %w", i+1, gateway.ErrInvalid)
		}
	}
	ids := make([]gateway.MessageID, 0, len(batches))
	for _, batch := range batches {
		s.ids++
		ids = append(ids, gateway.MessageID{Store: "test", Lane: gateway.LaneTelemetry, Seq: s.ids})
		s.batches = append(s.batches, slices.Clone(batch))
	}
	return ids, nil
}

// Gap implements gateway.Sink.
func (s *Sink) Gap(_ context.Context, g gateway.Gap) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, g)
	return nil
}

// Gaps are those that have been told so far.
func (s *Sink) Gaps() []gateway.Gap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.gaps)
}

// Batches are what has been handed in so far.
func (s *Sink) Batches() [][]gateway.Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

// Forget drops what has been handed in so far.
func (s *Sink) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = nil
}
