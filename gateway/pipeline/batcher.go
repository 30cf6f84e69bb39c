package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// Queue accepts messages; nil means that they are durable.
type Queue interface {
	Append(ctx context.Context, msgs ...gateway.Message) ([]gateway.MessageID, error)
}

// BatcherOptions of a Batcher. Queue and Clock are required; zero means the
// default.
type BatcherOptions struct {
	Queue Queue
	Clock clock.Clock
	// Boot names this run of the board in messages with something undated.
	Boot   string
	Log    *slog.Logger
	Health *health.Board

	// Lane that the messages go to; default telemetry.
	Lane gateway.Lane
	// MaxBytes bounds the body of a message; default 3,800, since IoT Hub
	// meters by 4 KB. A single reading larger than this gets its own message.
	MaxBytes int
	// MaxAge is how long the first reading of a message waits for others;
	// default 10 s.
	MaxAge time.Duration
	// MaxPending bounds the bytes of complete messages that the queue has not
	// accepted yet; default 1 MB.
	MaxPending int
	// Grace is how long a stop tries to hand over what was collected; default 5 s.
	Grace time.Duration
	// Thinning says by which window numbers are thinned now; 0, or no function,
	// lets them pass as they come. The lane alerts is never thinned.
	Thinning func() time.Duration
}

// Batcher packs readings into messages of one lane. It is a gateway.Sink for
// readings that are stamped; Poller and Runner see to that.
type Batcher struct {
	opts BatcherOptions
	log  *slog.Logger
	code string // of the health condition
	// wake tells Run that there is a deadline or a message that it has not seen.
	wake chan struct{}

	mu      sync.Mutex
	open    pack
	thin    thinner
	box     outbox
	stopped bool
	stats   BatcherStats
	// refused are the readings last refused, so that each is logged once.
	refused map[readingKey]bool
}

// BatcherStats is what a Batcher has done since it was made.
type BatcherStats struct {
	Lane gateway.Lane `json:"lane"`
	// Readings counts those taken in, alerts too; Refused those that have no encoding.
	Readings uint64 `json:"readings"`
	Refused  uint64 `json:"refused"`
	// Thinned counts the readings that thinning has saved: samples less what
	// stands for them.
	Thinned uint64 `json:"thinned"`
	// Messages and Bytes count what the queue has accepted.
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	// Lost counts readings that were taken in and given up, since the queue
	// did not accept them.
	Lost uint64 `json:"lost"`
	// Pending are complete messages that wait for the queue.
	Pending      int `json:"pending"`
	PendingBytes int `json:"pending_bytes"`
	// Problem is why the queue does not accept; empty if it does.
	Problem string `json:"problem,omitempty"`
}

type readingKey struct {
	device gateway.DeviceID
	name   string
}

// NewBatcher returns a Batcher that collects at once, and appends while Run does.
func NewBatcher(o BatcherOptions) (*Batcher, error) {
	if o.Queue == nil || o.Clock == nil {
		return nil, errors.New("pipeline: a batcher needs a queue and a clock")
	}
	o.Lane = cmp.Or(o.Lane, gateway.LaneTelemetry)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("lane", o.Lane)
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	o.MaxBytes = cmp.Or(o.MaxBytes, 3800)
	o.MaxAge = cmp.Or(o.MaxAge, 10*time.Second)
	o.MaxPending = cmp.Or(o.MaxPending, 1<<20)
	o.Grace = cmp.Or(o.Grace, 5*time.Second)
	if o.Thinning == nil || o.Lane == gateway.LaneAlerts {
		o.Thinning = func() time.Duration { return 0 }
	}
	return &Batcher{
		opts: o, log: o.Log, code: "readings-lost:" + string(o.Lane),
		wake: make(chan struct{}, 1), box: outbox{maxBytes: o.MaxPending},
		stats: BatcherStats{Lane: o.Lane}, refused: make(map[readingKey]bool),
	}, nil
}

// SetBounds changes MaxBytes and MaxAge, both more than 0, for the open message, too.
func (b *Batcher) SetBounds(maxBytes int, maxAge time.Duration) {
	b.mu.Lock()
	b.opts.MaxBytes, b.opts.MaxAge = maxBytes, maxAge
	b.mu.Unlock()
	b.signal()
}

// Stats is a snapshot for status displays.
func (b *Batcher) Stats() BatcherStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Pending, s.PendingBytes = len(b.box.waiting), b.box.bytes
	return s
}

// errStopped is the answer to readings that come after the stop.
func (b *Batcher) errStopped() error {
	return fmt.Errorf("lane %s takes no more readings, the gateway is stopping: %w", b.opts.Lane, gateway.ErrUnavailable)
}
