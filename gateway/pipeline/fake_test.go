package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

type wall struct{}

func (wall) Now() time.Time { return time.Now() }
func (wall) Trusted() bool  { return true }

// queue is a queue in memory, under the control of the test.
type queue struct {
	// before runs ahead of each Append and may refuse it.
	before func(ctx context.Context, msgs []gateway.Message) error

	mu       sync.Mutex
	messages []gateway.Message
	appends  []int // messages in each
	times    []time.Time
}

func (q *queue) Append(ctx context.Context, msgs ...gateway.Message) ([]gateway.MessageID, error) {
	if q.before != nil {
		if err := q.before(ctx, msgs); err != nil {
			return nil, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.appends = append(q.appends, len(msgs))
	var ids []gateway.MessageID
	for _, m := range msgs {
		m.ID.Store, m.ID.Seq = "test", uint64(len(q.messages)+1)
		q.messages = append(q.messages, m)
		q.times = append(q.times, time.Now())
		ids = append(ids, m.ID)
	}
	return ids, nil
}

func (q *queue) got() []gateway.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.messages)
}

// names are the names of the readings in the queue, in order.
func (q *queue) names() (list []string) {
	for _, m := range q.got() {
		var body struct{ Readings []struct{ Name string } }
		if err := json.Unmarshal(m.Body, &body); err != nil {
			panic(err)
		}
		for _, r := range body.Readings {
			list = append(list, r.Name)
		}
	}
	return list
}

// running starts something with Run(ctx) error; the function returned stops
// it and gives its answer.
func running(run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func newBoard() *health.Board { return health.NewBoard(slog.New(slog.DiscardHandler)) }

// condition is the summary of a condition; empty if it does not stand.
func condition(b *health.Board, code string) string {
	for _, c := range b.Conditions() {
		if c.Code == code {
			return c.Summary
		}
	}
	return ""
}

func newBatcher(t *testing.T, q *queue, o pipeline.BatcherOptions) *pipeline.Batcher {
	t.Helper()
	o.Queue, o.Clock = q, wall{}
	b, err := pipeline.NewBatcher(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reading has a JSON form of 100 bytes or so.
func reading(name string) gateway.Reading {
	return gateway.Reading{Device: "air", Name: name, Value: gateway.Number(1), Time: time.Now(), Quality: gateway.Good}
}

var errBroken = errors.New("broken")

// bubble is a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// jumping is a wall clock that steps by years, back and forth.
type jumping struct{ n atomic.Int64 }

func (j *jumping) Now() time.Time {
	return time.Now().AddDate(int(j.n.Add(1)%3-1)*20, 0, 0)
}
func (j *jumping) Trusted() bool { return true }

// counted is a log, and how many of its lines have the message.
func counted(message string) (log *slog.Logger, lines func() int) {
	var mu sync.Mutex
	var buffer bytes.Buffer
	handler := slog.NewTextHandler(&locked{mu: &mu, w: &buffer}, nil)
	return slog.New(handler), func() int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(buffer.String(), `msg="`+message+`"`)
	}
}

type locked struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
