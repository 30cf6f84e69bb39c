package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// mood is how the queue of the model does now.
type mood int

const (
	kind    mood = iota
	slow         // takes its time
	full         // refuses
	blocked      // waits for room until the caller gives up
	moods
)

// modelQueue takes what it is given, in a mood that the model changes.
type modelQueue struct {
	mu    sync.Mutex
	mood  mood
	taken []int // numbers of the readings
}

func (q *modelQueue) set(m mood) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mood = m
}

func (q *modelQueue) Append(ctx context.Context, msgs ...gateway.Message) ([]gateway.MessageID, error) {
	q.mu.Lock()
	now := q.mood
	q.mu.Unlock()
	switch now {
	case slow:
		time.Sleep(3 * time.Second)
	case full:
		return nil, gateway.ErrFull
	case blocked:
		<-ctx.Done()
		return nil, fmt.Errorf("%w (%w)", gateway.ErrFull, ctx.Err())
	}
	var numbers []int
	for _, m := range msgs {
		if bytes.Contains(m.Body, []byte("poison")) {
			return nil, gateway.ErrInvalid
		}
		var body struct{ Readings []struct{ Name string } }
		if err := json.Unmarshal(m.Body, &body); err != nil {
			return nil, err
		}
		for _, r := range body.Readings {
			n, err := strconv.Atoi(r.Name)
			if err != nil {
				return nil, err
			}
			numbers = append(numbers, n)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken = append(q.taken, numbers...)
	return make([]gateway.MessageID, len(msgs)), nil
}

// check fails unless each reading taken in is in the queue, in the batcher or
// counted as lost, and those in the queue came once each and in order.
func check(t *testing.T, b *Batcher, q *modelQueue, emitted int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	held, size := b.open.readings, 0
	for _, s := range b.box.waiting {
		held += s.readings
		size += len(s.message.Body)
	}
	if total := len(q.taken) + held + int(b.stats.Lost); total != emitted || b.stats.Readings != uint64(emitted) {
		t.Fatalf("%d readings: %d appended + %d held + %d lost, %d counted", emitted, len(q.taken), held, b.stats.Lost, b.stats.Readings)
	}
	if !slices.IsSorted(q.taken) || len(slices.Compact(slices.Clone(q.taken))) != len(q.taken) {
		t.Fatal("readings out of order, or twice")
	}
	if size != b.box.bytes || size > b.opts.MaxPending+maxGroupBytes {
		t.Fatalf("%d bytes wait, counted as %d, the bound is %d", size, b.box.bytes, b.opts.MaxPending)
	}
}

// TestNoReadingIsUnaccounted walks at random through emissions, moods of the
// queue and time.
func TestNoReadingIsUnaccounted(t *testing.T) {
	for seed := range uint64(16) {
		synctest.Test(t, func(t *testing.T) { walk(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func walk(t *testing.T, random *rand.Rand) {
	q := &modelQueue{}
	b, err := NewBatcher(BatcherOptions{
		Queue: q, Clock: fixed{}, MaxBytes: 100 + random.IntN(2000), MaxPending: 1000 + random.IntN(30_000),
		Health: health.NewBoard(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	emitted := 0
	for range 150 {
		switch random.IntN(4) {
		case 0:
			q.set(mood(random.IntN(int(moods))))
		case 1:
			time.Sleep(time.Duration(random.IntN(20_000)) * time.Millisecond)
		default:
			for range random.IntN(100) {
				r := gateway.Reading{Device: "d", Name: strconv.Itoa(emitted), Value: gateway.Number(1), Time: time.Now()}
				switch random.IntN(300) {
				case 0:
					r.Unit = "poison"
				case 1:
					r.Value = gateway.Text(strings.Repeat("x", 1+random.IntN(5000)))
				}
				if err := b.Emit(ctx, r); err != nil {
					t.Fatal(err)
				}
				emitted++
			}
		}
		synctest.Wait()
		check(t, b, q, emitted)
	}
	stop()
	lost := b.Stats().Lost
	err = <-ended
	if s := b.Stats(); s.Pending != 0 || s.PendingBytes != 0 {
		t.Fatalf("after the stop: %+v", s)
	}
	if err == nil && q.mood != kind && q.mood != slow && b.Stats().Lost != lost {
		t.Fatal("readings lost at the stop, and not a word")
	}
	check(t, b, q, emitted)
}

type fixed struct{}

func (fixed) Now() time.Time { return time.Unix(1_800_000_000, 0) }
func (fixed) Trusted() bool  { return true }
