package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

func follow(t *testing.T, s *stream, change ...func(*pipeline.RunnerOptions)) (*pipeline.Runner, *tray, func() error) {
	t.Helper()
	to := &tray{}
	o := pipeline.RunnerOptions{Device: "gps", Stream: s, Sink: to, Clock: wall{}, Health: newBoard()}
	for _, c := range change {
		c(&o)
	}
	r, err := pipeline.NewRunner(o)
	if err != nil {
		t.Fatal(err)
	}
	return r, to, running(r.Run)
}

// mute says nothing until it is told to stop.
func mute(ctx context.Context, _ gateway.Sink, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestPausesGrowAndStartAnewOnceSettled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const settles = 12   // this run lasts
		var over []time.Time // the ends of the runs
		s := &stream{run: func(_ context.Context, _ gateway.Sink, n int) error {
			defer func() { over = append(over, time.Now()) }()
			if n == settles {
				time.Sleep(10 * time.Second)
			}
			return errBroken
		}}
		board := newBoard()
		r, _, stop := follow(t, s, func(o *pipeline.RunnerOptions) { o.Health = board })
		time.Sleep(time.Hour)
		synctest.Wait()
		if st := r.Stats(); st.State != pipeline.Failing || st.Reason != "broken" || st.Failures != uint64(len(over)) {
			t.Errorf("%+v", st)
		}
		if c := condition(board, "device:gps"); c != "device gps: broken" {
			t.Errorf("condition %q", c)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		ceiling := time.Second
		for i, begun := range s.times[1:] {
			pause := begun.Sub(over[i])
			if i+1 == settles {
				ceiling = time.Second
			}
			if pause < ceiling/2 || pause > ceiling {
				t.Fatalf("pause %d: %v, want %v to %v", i+1, pause, ceiling/2, ceiling)
			}
			ceiling = min(2*ceiling, time.Minute)
		}
		if condition(board, "device:gps") != "" {
			t.Error("the condition outlives the runner")
		}
	})
}

// TestCommitThroughARunner: what is refused has not been seen.
func TestCommitThroughARunner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var errs []error
		s := &stream{run: func(ctx context.Context, to gateway.Sink, n int) error {
			batch := []gateway.Reading{{Name: "a", Value: gateway.Number(1)}, {Name: "b", Value: gateway.Number(2)}}
			_, err := to.Commit(ctx, batch, batch[:1])
			errs = append(errs, err)
			return mute(ctx, to, n)
		}}
		q := &queue{before: func(context.Context, []gateway.Message) error { return gateway.ErrFull }}
		full, _, stop := follow(t, s, func(o *pipeline.RunnerOptions) { o.Sink = newBatcher(t, q, pipeline.BatcherOptions{}) })
		synctest.Wait()
		if st := full.Stats(); st.Reads != 0 || st.Latest != nil || st.State != pipeline.Starting || !errors.Is(errs[0], gateway.ErrFull) {
			t.Errorf("%+v, %v", st, errs)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		q.before = nil
		r, _, stop := follow(t, s, func(o *pipeline.RunnerOptions) { o.Sink = newBatcher(t, q, pipeline.BatcherOptions{}) })
		synctest.Wait()
		if st := r.Stats(); st.Reads != 1 || len(st.Latest) != 2 || st.State != pipeline.Good || errs[1] != nil {
			t.Errorf("%+v, %v", st, errs)
		}
		if !slices.Equal(q.names(), []string{"a", "b", "a"}) || !strings.Contains(string(q.got()[0].Body), `"device":"gps"`) {
			t.Errorf("%v", q.names())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRunnerStop(t *testing.T) {
	for name, tt := range map[string]struct {
		run  func(ctx context.Context, to gateway.Sink, n int) error
		took time.Duration
		left bool
	}{
		"at once":    {run: mute},
		"in a pause": {run: func(context.Context, gateway.Sink, int) error { return errBroken }},
		"after a bit": {run: func(ctx context.Context, _ gateway.Sink, _ int) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		}, took: time.Second},
		"never": {run: func(context.Context, gateway.Sink, int) error { time.Sleep(time.Hour); return nil }, took: 2 * time.Second, left: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, _, stop := follow(t, &stream{run: tt.run})
				time.Sleep(20*time.Second + time.Millisecond)
				synctest.Wait()
				failures, start := r.Stats().Failures, time.Now()
				err := stop()
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if errors.Is(err, gateway.ErrTimeout) != tt.left || (err != nil) != tt.left {
					t.Errorf("error %v", err)
				}
				if r.Stats().Failures != failures {
					t.Error("the stop counts as a failure")
				}
				time.Sleep(time.Hour) // lets go of what was left behind
			})
		})
	}
}

// TestSilentStreamDoesNotFlap: one that is given up each time it has been silent for
// too long is failing all the time, whatever it says that makes no sense, and good
// again with the first thing that does.
func TestSilentStreamDoesNotFlap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const silence = 30 * time.Second
		var speak atomic.Bool
		s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
			babble := []gateway.Reading{{Name: "unmatched", Value: gateway.Number(1)}, {Name: "unmatched.line", Value: gateway.Text("?"), Quality: gateway.Bad}}
			if speak.Load() {
				babble = babble[:1]
			}
			if err := to.Emit(ctx, babble...); err != nil {
				return err
			}
			select {
			case <-time.After(silence):
				return gateway.ErrTimeout
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		r, _, stop := follow(t, s)
		time.Sleep(silence + time.Millisecond)
		for range 600 { // 10 min
			synctest.Wait()
			if state := r.Stats().State; state != pipeline.Failing {
				t.Fatalf("it is %s", state)
			}
			time.Sleep(time.Second)
		}
		speak.Store(true)
		time.Sleep(silence)
		synctest.Wait()
		if state := r.Stats().State; state != pipeline.Good {
			t.Errorf("it speaks, and is %s", state)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestSilentStreamThatWasAbsent is good once it has run for a while: a door need not
// move for that.
func TestSilentStreamThatWasAbsent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _, stop := follow(t, &stream{run: func(ctx context.Context, to gateway.Sink, n int) error {
			if n == 1 {
				return errors.Join(gateway.ErrTimeout, gateway.ErrUnavailable)
			}
			return mute(ctx, to, n)
		}})
		synctest.Wait()
		if state := r.Stats().State; state != pipeline.Absent {
			t.Errorf("at first it is %s", state)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if state := r.Stats().State; state != pipeline.Good {
			t.Errorf("after a minute it is %s", state)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestStreamThatSpeaksAfterTheStop: its readings are refused, not swallowed.
func TestStreamThatSpeaksAfterTheStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		said := make(chan error, 1)
		s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
			<-ctx.Done()
			time.Sleep(time.Minute)
			said <- to.Emit(ctx, gateway.Reading{Name: "late", Value: gateway.Number(1)})
			return nil
		}}
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{})
		stopBatcher := running(b.Run)
		_, _, stop := follow(t, s, func(o *pipeline.RunnerOptions) { o.Sink = b })
		synctest.Wait()
		if err := stop(); err == nil {
			t.Error("nothing said of what is left behind")
		}
		if err := stopBatcher(); err != nil {
			t.Fatal(err)
		}
		if err := <-said; !errors.Is(err, gateway.ErrUnavailable) || len(q.got()) != 0 {
			t.Errorf("%v, %d messages", err, len(q.got()))
		}
	})
}
