package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

func TestStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxAge: time.Hour})
		stop := running(b.Run)
		emit(t, b, "a", "b")
		if err := stop(); err != nil || len(q.names()) != 2 {
			t.Errorf("%v, %v", err, q.names())
		}
		if err := b.Emit(t.Context(), reading("late")); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("after the stop: %v", err)
		}
	})
}

func TestStopWithAFullQueue(t *testing.T) {
	for name, heals := range map[string]time.Duration{"heals within the grace": time.Second, "heals too late": time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				q := &queue{before: func(context.Context, []gateway.Message) error {
					if time.Since(start) < heals {
						return gateway.ErrFull
					}
					return nil
				}}
				b := newBatcher(t, q, pipeline.BatcherOptions{Grace: 5 * time.Second})
				stop := running(b.Run)
				emit(t, b, "a", "b")
				err := stop()
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("took %v", took)
				}
				lost := heals > 5*time.Second
				if (err != nil) != lost || (b.Stats().Lost == 2) != lost {
					t.Errorf("%v, %+v", err, b.Stats())
				}
			})
		})
	}
}

// TestStopSaysWhatStoodInTheWay: also if the queue did not refuse, but waited.
func TestStopSaysWhatStoodInTheWay(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(context.Context, []gateway.Message) error
		want   error
	}{
		"refuses": {func(context.Context, []gateway.Message) error { return gateway.ErrFull }, gateway.ErrFull},
		"waits for room": {func(ctx context.Context, _ []gateway.Message) error {
			<-ctx.Done()
			return fmt.Errorf("no room on the disk: %w", gateway.ErrFull)
		}, gateway.ErrFull},
		"is slow": {func(context.Context, []gateway.Message) error { time.Sleep(time.Minute); return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				board := newBoard()
				b := newBatcher(t, &queue{before: tt.before}, pipeline.BatcherOptions{Health: board, MaxBytes: 50})
				stop := running(b.Run)
				emit(t, b, numbered(0, 200)...) // more than the group under way and one more
				err := stop()
				if err == nil || !strings.HasPrefix(err.Error(), "lane telemetry: ") || strings.HasSuffix(err.Error(), ": ") {
					t.Errorf("error %v", err)
				}
				if tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("error %v, want one that wraps %v", err, tt.want)
				}
			})
		})
	}
}
