package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// stream runs as the test says.
type stream struct {
	run func(ctx context.Context, sink gateway.Sink, n int) error

	mu    sync.Mutex
	times []time.Time
}

func (s *stream) Run(ctx context.Context, sink gateway.Sink) error {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	n := len(s.times)
	s.mu.Unlock()
	return s.run(ctx, sink, n)
}

func (s *stream) runs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

func newRunner(t *testing.T, s gateway.Stream, sink gateway.Sink, b *health.Board) *pipeline.Runner {
	t.Helper()
	r, err := pipeline.NewRunner(pipeline.RunnerOptions{Device: "gps", Stream: s, Sink: sink, Clock: wall{}, Health: b})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRunnerStartsAgain: after each end, with pauses that grow to a minute.
func TestRunnerStartsAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &stream{run: func(context.Context, gateway.Sink, int) error { return errBroken }}
		board := newBoard()
		r := newRunner(t, s, &tray{}, board)
		stop := running(r.Run)
		time.Sleep(time.Second)
		synctest.Wait()
		if r.Stats().State != pipeline.Failing || !strings.Contains(condition(board, "device:gps"), "device gps: broken") {
			t.Errorf("stats %+v, condition %q", r.Stats(), condition(board, "device:gps"))
		}
		time.Sleep(time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := s.runs(); n < 60 || n > 130 {
			t.Errorf("%d runs in an hour, want one every half to whole minute", n)
		}
		for i := 1; i < len(s.times); i++ {
			if gap := s.times[i].Sub(s.times[i-1]); gap < 500*time.Millisecond || gap > time.Minute {
				t.Errorf("run %d after %v", i, gap)
			}
		}
		if c := condition(board, "device:gps"); c != "" {
			t.Errorf("after the stop the condition stands: %s", c)
		}
	})
}

// TestRunnerIsGood as soon as the stream says something, or has run for a
// while in silence; a run that lasted makes the next pause short again.
func TestRunnerIsGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		say := make(chan string)
		s := &stream{run: func(ctx context.Context, sink gateway.Sink, _ int) error {
			for {
				select {
				case name := <-say:
					if name == "" {
						return errBroken
					}
					if err := sink.Emit(ctx, gateway.Reading{Name: name, Value: gateway.Number(1)}); err != nil {
						return err
					}
				case <-ctx.Done():
					return nil
				}
			}
		}}
		sink, board := &tray{}, newBoard()
		r := newRunner(t, s, sink, board)
		stop := running(r.Run)
		synctest.Wait()
		if got := r.Stats().State; got != pipeline.Starting {
			t.Errorf("at the start: %s", got)
		}
		say <- "lat"
		synctest.Wait()
		if got := r.Stats(); got.State != pipeline.Good || got.Reads != 1 || len(sink.got()) != 1 || sink.got()[0].Device != "gps" {
			t.Errorf("after a reading: %+v, %v", got, sink.got())
		}
		for range 5 {
			say <- ""
			time.Sleep(40 * time.Second)
		}
		synctest.Wait()
		if got := r.Stats(); got.State != pipeline.Good || got.Failures != 5 {
			t.Errorf("silent for 40 s: %+v, want good", got)
		}
		before := s.runs()
		say <- ""
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if s.runs() != before+1 {
			t.Error("after a run that lasted, the pause is longer than a second")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamThatPanicsOrEnds(t *testing.T) {
	for want, run := range map[string]func() error{
		"driver panicked: nil map":   func() error { panic("nil map") },
		"the stream ended by itself": func() error { return nil },
	} {
		bubble(t, func(t *testing.T) {
			s := &stream{run: func(context.Context, gateway.Sink, int) error { return run() }}
			r := newRunner(t, s, &tray{}, newBoard())
			stop := running(r.Run)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if got := r.Stats(); got.State != pipeline.Failing || !strings.Contains(got.Reason, want) {
				t.Errorf("stats %+v, want %s", got, want)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamThatDoesNotStop is left behind, by name.
func TestStreamThatDoesNotStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		free := make(chan struct{})
		s := &stream{run: func(context.Context, gateway.Sink, int) error { <-free; return nil }}
		stop := running(newRunner(t, s, &tray{}, newBoard()).Run)
		synctest.Wait()
		began := time.Now()
		err := stop()
		if err == nil || !strings.Contains(err.Error(), "device gps: the stream has not stopped within 2s") {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it waited %v", took)
		}
		close(free)
	})
}

// TestLatestIsBounded: a stream that invents names does not eat the memory.
func TestLatestIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &stream{run: func(ctx context.Context, sink gateway.Sink, _ int) error {
			for i := range 10_000 {
				name := fmt.Sprintf("n%d", i%5000)
				if err := sink.Emit(ctx, gateway.Reading{Name: name, Value: gateway.Number(float64(i))}); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return nil
		}}
		r := newRunner(t, s, &tray{}, newBoard())
		stop := running(r.Run)
		synctest.Wait()
		latest := r.Stats().Latest
		if len(latest) != 64 {
			t.Errorf("%d quantities are remembered, want 64", len(latest))
		}
		if v, _ := latest[0].Value.Number(); v != 5000 {
			t.Errorf("the latest of n0 is %v, want 5000", v)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
