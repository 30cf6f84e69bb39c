package pipeline_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// keeper is a sink that also takes what is committed.
type keeper struct {
	tray
	batches [][]gateway.Reading
}

func (k *keeper) Commit(_ context.Context, batches ...[]gateway.Reading) ([]gateway.MessageID, error) {
	if k.refuse != nil {
		return nil, k.refuse
	}
	k.batches = append(k.batches, batches...)
	return make([]gateway.MessageID, len(batches)), nil
}

func (s *tray) values() (list []string) {
	for _, r := range s.got() {
		list = append(list, r.Name+"="+r.Value.String())
	}
	return list
}

func processed(t *testing.T, s gateway.Sensor, sink gateway.Sink, change func(*pipeline.PollerOptions)) *pipeline.Poller {
	t.Helper()
	o := pipeline.PollerOptions{
		Device: "air", Sensor: s, Sink: sink, Clock: wall{}, Every: every, Timeout: timeout, Health: newBoard(),
	}
	change(&o)
	p, err := pipeline.NewPoller(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWindowClosesOfASilentSensor on time, however wildly the wall clock steps,
// and what is in a window or held at the stop is handed on.
func TestWindowClosesOfASilentSensor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(_ context.Context, n int) ([]gateway.Reading, error) {
			if n == 4 {
				time.Sleep(10 * time.Minute) // stuck, and with it the poller's schedule
			}
			return []gateway.Reading{{Name: "q", Value: gateway.Number(float64(n))}, {Name: "l", Value: gateway.Number(float64(n))}}, nil
		}}
		sink := &tray{}
		p := processed(t, s, sink, func(o *pipeline.PollerOptions) {
			o.Clock = &jumping{}
			o.Processing = pipeline.Processing{
				Window:    map[string]pipeline.Window{"q": {Every: time.Minute, Of: []string{"mean", "count"}}},
				RateLimit: map[string]time.Duration{"l": 25 * time.Second},
			}
		})
		stop := running(p.Run)
		for len(s.reads()) < 4 {
			time.Sleep(time.Second)
		}
		began := s.reads()[0]
		time.Sleep(time.Until(began.Add(time.Minute - time.Millisecond)))
		synctest.Wait()
		if got := strings.Join(sink.values(), " "); got != "l=1 l=3" {
			t.Errorf("before the window is over: %s", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := strings.Join(sink.values(), " "); got != "l=1 l=3 q.mean=2 q.count=3" {
			t.Errorf("after it: %s", got)
		}
		for len(s.reads()) < 6 {
			time.Sleep(time.Second)
		}
		synctest.Wait()
		before := len(sink.got())
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := strings.Join(sink.values()[before:], " "); got != "q.mean=5.5 q.count=2 l=6" {
			t.Errorf("at the stop: %s", got)
		}
		time.Sleep(time.Hour) // a timer that is left would speak here
		if n := len(sink.got()); n != before+3 {
			t.Errorf("%d readings after the stop", n-before-3)
		}
	})
}

// TestLatestIsWhatIsTrue: calibrated and judged, also if it is not sent.
func TestLatestIsWhatIsTrue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) {
			return []gateway.Reading{{Name: "q", Value: gateway.Number(3)}}, nil
		}}
		most := 5.0
		sink := &tray{}
		p := processed(t, s, sink, func(o *pipeline.PollerOptions) {
			o.Processing = pipeline.Processing{
				Calibrate:  map[string]pipeline.Calibration{"q": {Scale: 2, Unit: "m"}},
				ValidRange: map[string]pipeline.ValidRange{"q": {Max: &most}},
				Deadband:   map[string]string{"q": "0"}, Heartbeat: time.Hour,
			}
		})
		stop := running(p.Run)
		time.Sleep(10 * every)
		synctest.Wait()
		latest := p.Stats().Latest[0]
		if latest.Value != gateway.Number(6) || latest.Unit != "m" || latest.Quality != gateway.Bad {
			t.Errorf("latest %v, want 6 m, bad", latest)
		}
		if did := p.Stats().Processing; did.Taken != 10 || did.Sent != 1 || did.Suppressed != 9 || did.Bad != 10 {
			t.Errorf("processing %+v", did)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestCommitHoldsNothingBack: each batch was promised an id.
func TestCommitHoldsNothingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		most := 5.0
		sink := &keeper{}
		batch := func(x float64) []gateway.Reading {
			return []gateway.Reading{{Name: "q", Value: gateway.Number(x)}}
		}
		s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
			for range 3 {
				if ids, err := to.Commit(ctx, batch(3), batch(1), batch(1)); err != nil || len(ids) != 3 {
					t.Errorf("%d ids, %v", len(ids), err)
				}
			}
			sink.refuse = errBroken
			if _, err := to.Commit(ctx, batch(3)); !errors.Is(err, errBroken) {
				t.Errorf("refused: %v", err)
			}
			<-ctx.Done()
			return nil
		}}
		r, err := pipeline.NewRunner(pipeline.RunnerOptions{
			Device: "air", Stream: s, Sink: sink, Clock: wall{}, Health: newBoard(),
			Processing: pipeline.Processing{
				Calibrate:  map[string]pipeline.Calibration{"q": {Scale: 2}},
				ValidRange: map[string]pipeline.ValidRange{"q": {Max: &most, Outside: "drop"}},
				Deadband:   map[string]string{"q": "100"},
				RateLimit:  map[string]time.Duration{"q": time.Hour},
				Window:     map[string]pipeline.Window{"q": {Every: time.Hour, Of: []string{"mean"}}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(r.Run)
		synctest.Wait()
		if n := len(sink.batches); n != 9 || sink.batches[0][0].Value != gateway.Number(6) || sink.batches[0][0].Quality != gateway.Bad || sink.batches[1][0].Quality != gateway.Good {
			t.Errorf("%d batches: %v", n, sink.batches)
		}
		if did := r.Stats().Processing; did != (pipeline.ProcessingStats{Taken: 9, Sent: 9, Bad: 3}) {
			t.Errorf("processing %+v", did)
		}
		sink.refuse = nil
		if err := stop(); err != nil || len(sink.got()) > 0 {
			t.Errorf("the stop: %v, %v", err, sink.got())
		}
	})
}

// TestProcessingHasACondition while a sensor gives what cannot be sent; also if it
// gives nothing any more afterwards.
func TestProcessingHasACondition(t *testing.T) {
	for _, then := range []error{nil, errBroken} {
		bubble(t, func(t *testing.T) { processingHasACondition(t, then) })
	}
}

func processingHasACondition(t *testing.T, then error) {
	t.Helper()
	s := &sensor{read: func(_ context.Context, n int) ([]gateway.Reading, error) {
		if n < 5 {
			return []gateway.Reading{{Name: "q", Value: gateway.Number(math.NaN())}}, nil
		}
		if then != nil {
			return nil, then
		}
		return []gateway.Reading{{Name: "q", Value: gateway.Number(1)}}, nil
	}}
	board := newBoard()
	p := processed(t, s, &tray{}, func(o *pipeline.PollerOptions) { o.Health = board })
	stop := running(p.Run)
	time.Sleep(5 * every)
	synctest.Wait()
	if c := condition(board, "processing:air"); !strings.HasPrefix(c, "device air: q: is not finite") || p.Stats().Processing.Dropped != 4 {
		t.Errorf("condition %q, %+v", c, p.Stats().Processing)
	}
	time.Sleep(11 * time.Minute)
	if c := condition(board, "processing:air"); c != "" {
		t.Errorf("after it is over: %s", c)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestAlertLeavesAtOnce, behind what came before it, as a message of its own;
// also when it begins although nothing comes any more.
func TestAlertLeavesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxAge: time.Hour, Lane: gateway.LaneAlerts})
		stopBatcher := running(b.Run)
		s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
			if err := to.Emit(ctx, gateway.Reading{Name: "level", Value: gateway.Number(9), Unit: "m"}); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}}
		r, err := pipeline.NewRunner(pipeline.RunnerOptions{
			Device: "tank", Stream: s, Sink: b, Alerts: b, Clock: wall{}, Health: newBoard(),
			Processing: pipeline.Processing{Alerts: []pipeline.AlertRule{
				{ID: "high", When: "level > 8", Text: "nearly full"}, {ID: "long", When: "level > 8", For: time.Minute},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		stop := running(r.Run)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		first, second := `{"v":1,"alert":{"device":"tank","id":"high","active":true,"text":"nearly full","values":{"level":9},"time":"`,
			`{"v":1,"alert":{"device":"tank","id":"long","active":true,"values":{"level":9},"time":"`
		got := q.got()
		if len(got) != 3 || got[0].Kind != gateway.KindAlert || !strings.HasPrefix(string(got[0].Body), first) || got[1].Kind != gateway.KindTelemetry || !strings.HasPrefix(string(got[2].Body), second) {
			t.Fatalf("%d messages: %+v", len(got), got)
		}
		if after := q.times[2].Sub(began); q.times[0].Sub(began) != 0 || after != time.Minute {
			t.Errorf("they left after %v and %v", q.times[0].Sub(began), after)
		}
		if active := r.Stats().Alerts; len(active) != 2 || active[0].ID != "high" {
			t.Errorf("active: %v", active)
		}
		if err := errors.Join(stop(), stopBatcher()); err != nil {
			t.Error(err)
		}
		if err := b.Alert(t.Context(), gateway.Alert{Device: "tank", ID: "high"}, nil); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("after the stop: %v", err)
		}
		if s := b.Stats(); s.Readings != 3 || s.Messages != 3 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestFaultyProcessingIsRefused(t *testing.T) {
	faulty := pipeline.Processing{Deadband: map[string]string{"q": "some"}}
	_, err1 := pipeline.NewPoller(pipeline.PollerOptions{Device: "air", Sensor: &sensor{}, Sink: &tray{}, Clock: wall{}, Every: 1, Timeout: 1, Processing: faulty})
	_, err2 := pipeline.NewRunner(pipeline.RunnerOptions{Device: "air", Stream: &stream{}, Sink: &tray{}, Clock: wall{}, Processing: faulty})
	alerts := pipeline.Processing{Alerts: []pipeline.AlertRule{{ID: "a", When: "q > 1"}}}
	if _, err := pipeline.NewRunner(pipeline.RunnerOptions{Device: "air", Stream: &stream{}, Sink: &tray{}, Clock: wall{}, Processing: alerts}); err == nil {
		t.Error("alerts that nobody takes")
	}
	for _, err := range []error{err1, err2} {
		var fault *gateway.FieldError
		if !errors.As(err, &fault) || fault.Field != "deadband.q" {
			t.Errorf("got %v", err)
		}
	}
}
