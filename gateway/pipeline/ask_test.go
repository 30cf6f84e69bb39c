package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

func level(context.Context, int) ([]gateway.Reading, error) {
	return []gateway.Reading{{Name: "level", Value: gateway.Number(2)}}, nil
}

// TestAskKeepsThePace: what is read for somebody who asks is told to nobody else,
// and the slots stay where they are.
func TestAskKeepsThePace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: level}
		sink := &tray{}
		p, err := pipeline.NewPoller(pipeline.PollerOptions{
			Device: "tank", Sensor: s, Sink: sink, Clock: wall{}, Every: every, Timeout: timeout, Health: newBoard(),
			Processing: pipeline.Processing{Calibrate: map[string]pipeline.Calibration{"level": {Scale: 10}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(p.Run)
		time.Sleep(every / 2) // the first slot is over, whatever its phase, and the second far
		synctest.Wait()
		before := p.Stats()
		for range 3 {
			readings, err := p.Ask(t.Context())
			if err != nil || fmt.Sprint(readings[0].Value) != "20" || readings[0].Device != "tank" || readings[0].Quality != gateway.Good {
				t.Errorf("%v (%v)", readings, err)
			}
			time.Sleep(time.Second)
		}
		if after := p.Stats(); after.Reads != before.Reads || after.Processing.Taken != before.Processing.Taken {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		time.Sleep(every)
		if err := stop(); err != nil {
			t.Error(err)
		}
		times := s.reads()
		if len(times) != 5 || times[4].Sub(times[0]) != every {
			t.Errorf("read at %v", times)
		}
		if got := sink.got(); len(got) != 2 {
			t.Errorf("%d readings were handed on, want 2", len(got))
		}
	})
}

// TestAskOfADeviceThatFails changes nothing about its state.
func TestAskOfADeviceThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
			if n > 1 {
				return nil, errBroken
			}
			return level(ctx, n)
		}}
		p := newPoller(t, s, &tray{}, newBoard())
		stop := running(p.Run)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, err := p.Ask(t.Context()); !errors.Is(err, errBroken) || p.Stats().State != pipeline.Good {
			t.Errorf("%v, state %v", err, p.Stats().State)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestAskOfADeviceThatHangs: it is told, the next read is not begun before the
// last one has come back, and what that brings is lost.
func TestAskOfADeviceThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hang := make(chan struct{})
		s := &sensor{read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
			if n == 2 {
				<-hang
			}
			return level(ctx, n)
		}}
		sink := &tray{}
		p := newPoller(t, s, sink, newBoard())
		stop := running(p.Run)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, want := range []string{"not come back within", "begun"} {
			if p.Stats().State != pipeline.Good {
				t.Errorf("before its next slot the device is %s", p.Stats().State)
			}
			if _, err := p.Ask(t.Context()); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		time.Sleep(3 * every)
		synctest.Wait()
		if s := p.Stats(); s.State != pipeline.Stuck || s.Failures != 1 {
			t.Errorf("slots have passed, and the device is %s after %d failures; want stuck after 1", s.State, s.Failures)
		}
		close(hang)
		synctest.Wait()
		if _, err := p.Ask(t.Context()); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := sink.got(); len(got) != 1 {
			t.Errorf("%d readings were handed on, want 1", len(got))
		}
	})
}

func TestAskOfAPollerThatDoesNotRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPoller(t, &sensor{read: level}, &tray{}, newBoard())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Ask(ctx); !errors.Is(err, gateway.ErrTimeout) {
			t.Error(err)
		}
	})
}
