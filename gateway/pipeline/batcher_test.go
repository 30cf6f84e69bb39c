package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

var _ gateway.Sink = (*pipeline.Batcher)(nil)

func emit(t *testing.T, s gateway.Sink, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := s.Emit(t.Context(), reading(name)); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("r%04d", i))
	}
	return list
}

func TestSealByAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxAge: 3 * time.Second})
		defer running(b.Run)()
		start := time.Now()
		for range 5 { // the second message begins with the 5th, at 3.6 s
			emit(t, b, "a")
			time.Sleep(900 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(q.times) != 2 || q.times[0].Sub(start) != 3*time.Second || q.times[1].Sub(start) != 6600*time.Millisecond {
			t.Errorf("appended at %v", q.times)
		}
		if n := len(q.names()); n != 5 {
			t.Errorf("%d readings", n)
		}
	})
}

func TestSealBySize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{})
		stop := running(b.Run)
		want := numbered(0, 500)
		emit(t, b, want...)
		synctest.Wait()
		before := len(q.got())
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got := q.got()
		if before != len(got)-1 {
			t.Errorf("%d of %d messages appended before their age", before, len(got))
		}
		for i, m := range got[:len(got)-1] {
			if len(m.Body) > 3800 || len(m.Body) < 3600 {
				t.Errorf("message %d has %d bytes", i, len(m.Body))
			}
		}
		if !slices.Equal(q.names(), want) {
			t.Error("not the same readings in the same order")
		}
	})
}

func TestLargeReadingIsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxBytes: 1000})
		large := reading("large")
		large.Value = gateway.Text(strings.Repeat("x", 2000))
		emit(t, b, "before")
		if err := b.Emit(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		emit(t, b, "after")
		if err := running(b.Run)(); err != nil {
			t.Fatal(err)
		}
		if len(q.got()) != 3 || !slices.Equal(q.names(), []string{"before", "large", "after"}) {
			t.Errorf("%d messages, %v", len(q.got()), q.names())
		}
	})
}

// TestCollectsDuringASync: what comes in while an Append waits for its sync
// goes with the next one, all at once.
func TestCollectsDuringASync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{before: func(context.Context, []gateway.Message) error {
			time.Sleep(time.Second)
			return nil
		}}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxBytes: 50}) // each reading a message
		stop := running(b.Run)
		emit(t, b, "first")
		time.Sleep(time.Millisecond)
		emit(t, b, numbered(0, 10)...)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !slices.Equal(q.appends, []int{1, 10}) {
			t.Errorf("appends of %v", q.appends)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var healed atomic.Bool
		var tries atomic.Int32
		q := &queue{before: func(context.Context, []gateway.Message) error {
			if tries.Add(1); !healed.Load() {
				return gateway.ErrFull
			}
			return nil
		}}
		board := newBoard()
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxBytes: 50, Health: board})
		stop := running(b.Run)
		want := numbered(0, 100)
		emit(t, b, want...)
		time.Sleep(time.Hour)
		if n := tries.Load(); n < 200 || n > 600 { // pauses of 7.5 s to 15 s in the end
			t.Errorf("%d tries in an hour", n)
		}
		if s := b.Stats(); s.Problem == "" || s.Pending != 100 || s.Lost != 0 || condition(board, "readings-lost:telemetry") != "" {
			t.Errorf("%+v", s)
		}
		if stuck := board.Stuck(); stuck != nil {
			t.Errorf("silent: %v", stuck)
		}
		healed.Store(true)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if s := b.Stats(); s.Problem != "" || s.Pending != 0 || s.PendingBytes != 0 || s.Messages != 100 {
			t.Errorf("%+v", s)
		}
		if !slices.Equal(q.names(), want) {
			t.Error("not the same readings in the same order")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var healed atomic.Bool
		q := &queue{before: func(context.Context, []gateway.Message) error {
			if !healed.Load() {
				return fmt.Errorf("disk full: %w", gateway.ErrFull)
			}
			return nil
		}}
		board := newBoard()
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxBytes: 50, MaxPending: 10_000, Health: board})
		stop := running(b.Run)
		all := numbered(0, 1000)
		for _, name := range all {
			emit(t, b, name)
			time.Sleep(100 * time.Millisecond) // refusals come in between
			if s := b.Stats(); s.PendingBytes > 10_000 {
				t.Fatalf("%d bytes pending", s.PendingBytes)
			}
		}
		s := b.Stats()
		if s.Lost == 0 || s.Lost+uint64(s.Pending) != 1000 {
			t.Errorf("%+v", s)
		}
		if c := condition(board, "readings-lost:telemetry"); !strings.Contains(c, "disk full") {
			t.Errorf("condition %q", c)
		}
		healed.Store(true)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if got := q.names(); !slices.Equal(got, all[s.Lost:]) {
			t.Errorf("%d readings arrived, the newest %d should have", len(got), 1000-s.Lost)
		}
		if c := condition(board, "readings-lost:telemetry"); c != "" {
			t.Errorf("condition %q stays", c)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBoundSparesWhatIsInAnAppend: the queue may have that already.
func TestBoundSparesWhatIsInAnAppend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{before: func(context.Context, []gateway.Message) error {
			time.Sleep(time.Second)
			return nil
		}}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxBytes: 50, MaxPending: 500})
		stop := running(b.Run)
		emit(t, b, "first")
		time.Sleep(time.Millisecond)
		emit(t, b, numbered(0, 100)...)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got, s := q.names(), b.Stats()
		if got[0] != "first" || got[len(got)-1] != "r0099" || len(got)+int(s.Lost) != 101 || s.Messages != uint64(len(got)) {
			t.Errorf("%v, %+v", got, s)
		}
	})
}

// TestBlockingQueue: an Append that waits for room is given up and tried
// again, and does not pass for a stuck batcher.
func TestBlockingQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		room := make(chan struct{})
		q := &queue{before: func(ctx context.Context, _ []gateway.Message) error {
			select {
			case <-room:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("lane full: %w", gateway.ErrFull)
			}
		}}
		board := newBoard()
		b := newBatcher(t, q, pipeline.BatcherOptions{Health: board})
		stop := running(b.Run)
		emit(t, b, "a")
		for range 100 {
			time.Sleep(5 * time.Second)
			if stuck := board.Stuck(); stuck != nil {
				t.Fatalf("silent: %v", stuck)
			}
		}
		close(room)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if len(q.got()) != 1 {
			t.Error("not appended once there was room")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCondemnedMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{before: func(_ context.Context, msgs []gateway.Message) error {
			for _, m := range msgs {
				if strings.Contains(string(m.Body), "poison") {
					return fmt.Errorf("never: %w", gateway.ErrInvalid)
				}
			}
			return nil
		}}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxBytes: 50})
		emit(t, b, "a", "b", "poison", "c", "d")
		if err := running(b.Run)(); err != nil {
			t.Fatal(err)
		}
		if got := q.names(); !slices.Equal(got, []string{"a", "b", "c", "d"}) || b.Stats().Lost != 1 {
			t.Errorf("%v, %+v", got, b.Stats())
		}
	})
}

func TestIdleBatcherBeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		board := newBoard()
		stop := running(newBatcher(t, &queue{}, pipeline.BatcherOptions{Health: board}).Run)
		for range 200 {
			time.Sleep(7 * time.Second)
			if stuck := board.Stuck(); stuck != nil {
				t.Fatalf("silent: %v", stuck)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestHungQueueStopsTheHeart: that is what the watchdog is for.
func TestHungQueueStopsTheHeart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		free := make(chan struct{})
		q := &queue{before: func(context.Context, []gateway.Message) error { <-free; return nil }}
		board := newBoard()
		b := newBatcher(t, q, pipeline.BatcherOptions{Health: board})
		stop := running(b.Run)
		emit(t, b, "a")
		time.Sleep(2 * time.Minute)
		if stuck := board.Stuck(); len(stuck) != 1 || stuck[0] != "batcher:telemetry" {
			t.Errorf("silent: %v", stuck)
		}
		close(free)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{Lane: gateway.LaneAlerts, MaxBytes: 50})
		ids, err := b.Commit(t.Context(), []gateway.Reading{reading("a"), reading("b")}, []gateway.Reading{reading("c")})
		if err != nil || len(ids) != 2 || ids[1].String() != "test-alerts-2" {
			t.Fatalf("%v, %v", ids, err)
		}
		if !slices.Equal(q.appends, []int{2}) || len(q.got()) != 2 {
			t.Errorf("appends of %v", q.appends)
		}
		if s := b.Stats(); s.Readings != 3 || s.Messages != 2 {
			t.Errorf("%+v", s)
		}
		if _, err := b.Commit(t.Context(), []gateway.Reading{reading("d")}, nil); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("empty batch: %v", err)
		}
		q.before = func(context.Context, []gateway.Message) error { return gateway.ErrFull }
		if _, err := b.Commit(t.Context(), []gateway.Reading{reading("d")}); !errors.Is(err, gateway.ErrFull) {
			t.Errorf("full: %v", err)
		}
	})
}

// TestBoundsChange for the message that is open, too.
func TestBoundsChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxAge: time.Hour})
		defer running(b.Run)()
		start := time.Now()
		emit(t, b, "a")
		time.Sleep(time.Second)
		b.SetBounds(3800, 3*time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(q.times) != 1 || q.times[0].Sub(start) != 3*time.Second {
			t.Errorf("appended at %v", q.times)
		}
		b.SetBounds(1, time.Hour)
		emit(t, b, "b", "c")
		synctest.Wait()
		if n := len(q.got()); n != 3 {
			t.Errorf("%d messages, want one for each reading", n)
		}
	})
}
