package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

var errGone = fmt.Errorf("no answer; is it wired? %w", fmt.Errorf("i2c-1: %w", gateway.ErrUnavailable))

// TestAbsentSensor is asked each second, read as soon as it is back, and then in
// its slots again. Each change is one line, however many reads fail.
func TestAbsentSensor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var gone atomic.Bool
		gone.Store(true)
		s := &sensor{read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
			if gone.Load() {
				return nil, errGone
			}
			return one(ctx, n)
		}}
		log, raised := counted("health condition")
		board := health.NewBoard(log)
		p, to, stop := poll(t, s, func(o *pipeline.PollerOptions) {
			o.Health, o.Every, o.Label = board, time.Hour, "air (bme280 on i2c-1 at 0x76)"
		})
		time.Sleep(5*time.Second + 100*time.Second)
		synctest.Wait()
		want := "air (bme280 on i2c-1 at 0x76): no answer; is it wired? i2c-1"
		st := p.Stats()
		if got := condition(board, "device:air"); got != want || raised() != 1 || st.State != pipeline.Absent {
			t.Errorf("condition %q, %d lines, %+v", got, raised(), st)
		}
		if st.Reads != 1 || st.Failures != 1 || st.Since.IsZero() {
			t.Errorf("%+v, want the first read and failure counted, and none of the %d that asked after it", st, len(s.reads()))
		}
		if n := len(s.reads()); n < 100 || n > 106 {
			t.Errorf("asked %d times in 100 s", n)
		}
		gone.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if st := p.Stats(); st.State != pipeline.Good || len(to.got()) != 1 || condition(board, "device:air") != "" {
			t.Errorf("a second after it is back: %+v", st)
		}
		asked := s.reads()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		after := s.reads()[len(asked):]
		if len(after) != 2 || after[1].Sub(after[0]) != time.Hour || after[0].Sub(asked[0]) != time.Hour {
			t.Errorf("read at %v, want the slots of %v", after, asked[0])
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSettingsReachAnAbsentSensor: it is left alone at once.
func TestSettingsReachAnAbsentSensor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) { return nil, errGone }}
		p, _, stop := poll(t, s, func(o *pipeline.PollerOptions) { o.Every = time.Hour })
		time.Sleep(10*time.Second + 500*time.Millisecond)
		p.SetPace(pipeline.Pace{Every: time.Hour})
		synctest.Wait()
		asked := len(s.reads())
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := p.Stats(); st.State != pipeline.Disabled || len(s.reads()) != asked {
			t.Errorf("%+v, asked %d times since", st, len(s.reads())-asked)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSensorWithAPartMissing is there: what it gave beside the error counts.
func TestSensorWithAPartMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
			readings, _ := one(ctx, n)
			return readings, errGone
		}}
		p, _, stop := poll(t, s)
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := p.Stats(); st.State != pipeline.Failing {
			t.Errorf("%+v", st)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAbsentStream is tried each second: what keeps it makes the pauses.
func TestAbsentStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &stream{run: func(context.Context, gateway.Sink, int) error { return errGone }}
		board := newBoard()
		r := newRunner(t, s, &tray{}, board)
		stop := running(r.Run)
		time.Sleep(100*time.Second + 500*time.Millisecond)
		synctest.Wait()
		if st := r.Stats(); st.State != pipeline.Absent || st.Failures != 1 || s.runs() != 101 {
			t.Errorf("%+v, %d runs", st, s.runs())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// checker answers what the test says.
type checker struct{ answer atomic.Pointer[error] }

func (c *checker) Check(context.Context) error { return *c.answer.Load() }

func (c *checker) set(err error) { c.answer.Store(&err) }

// TestWatcher: the state of an actuator follows what checks it.
func TestWatcher(t *testing.T) {
	bubble(t, func(t *testing.T) {
		board := newBoard()
		c := &checker{}
		c.set(nil)
		w, err := pipeline.NewWatcher(pipeline.WatcherOptions{Device: "pump", Label: "pump (relay on GPIO17)", Checker: c, Health: board})
		if err != nil {
			t.Fatal(err)
		}
		if st := w.Stats(); st.State != pipeline.Starting {
			t.Errorf("%+v", st)
		}
		stop := running(w.Run)
		for _, step := range []struct {
			answer error
			state  pipeline.State
			want   string
		}{
			{nil, pipeline.Good, ""},
			{errGone, pipeline.Absent, "pump (relay on GPIO17): no answer; is it wired? i2c-1"},
			{errBroken, pipeline.Failing, "pump (relay on GPIO17): broken"},
			{nil, pipeline.Good, ""},
		} {
			c.set(step.answer)
			time.Sleep(time.Second)
			synctest.Wait()
			if st := w.Stats(); st.State != step.state || condition(board, "device:pump") != step.want {
				t.Errorf("after %v: %+v, condition %q", step.answer, st, condition(board, "device:pump"))
			}
		}
		for range 10 {
			time.Sleep(time.Minute)
			if stuck := board.Stuck(); stuck != nil {
				t.Errorf("silent: %v", stuck)
			}
		}
		c.set(errGone)
		time.Sleep(time.Second)
		if err := errors.Join(stop()); err != nil || condition(board, "device:pump") != "" {
			t.Errorf("after the stop: %v, condition %q", err, condition(board, "device:pump"))
		}
	})
}

func TestWatcherNeedsItsParts(t *testing.T) {
	if _, err := pipeline.NewWatcher(pipeline.WatcherOptions{Device: "pump"}); err == nil {
		t.Error("made without a checker")
	}
}
