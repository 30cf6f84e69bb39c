package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// readsWithin counts the reads that are begun in the time to come.
func (s *sensor) readsWithin(d time.Duration) int {
	synctest.Wait()
	before := len(s.reads())
	time.Sleep(d)
	synctest.Wait()
	return len(s.reads()) - before
}

func TestSetPace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) { return nil, nil }}
		p := newPoller(t, s, &tray{}, newBoard())
		p.SetPace(pipeline.Pace{Every: time.Minute, Enabled: true}) // before Run
		p.SetPace(pipeline.Pace{Every: time.Second, Enabled: true}) // the last counts
		p.SetPace(pipeline.Pace{Enabled: true})                     // is none
		stop := running(p.Run)
		if n := s.readsWithin(time.Minute); n != 60 {
			t.Errorf("%d reads in a minute, want one each second", n)
		}
		p.SetPace(pipeline.Pace{Every: time.Hour, Enabled: true})
		if n := s.readsWithin(time.Minute); n != 1 {
			t.Errorf("%d reads in the first minute of a slow pace, want the one at its beginning", n)
		}
		p.SetPace(pipeline.Pace{Every: time.Second})
		if n := s.readsWithin(time.Hour); n != 0 || p.Stats().State != pipeline.Disabled {
			t.Errorf("%d reads while disabled, state %s", n, p.Stats().State)
		}
		p.SetPace(pipeline.Pace{Every: time.Second, Enabled: true})
		if n := s.readsWithin(time.Minute); n != 60 || p.Stats().State != pipeline.Good {
			t.Errorf("%d reads in a minute once enabled again, state %s", n, p.Stats().State)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A device that is left alone has no condition, whatever it last said.
func TestDisabledDeviceHasNoCondition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) { return nil, errors.New("no answer") }}
		board := newBoard()
		p := newPoller(t, s, &tray{}, board)
		stop := running(p.Run)
		time.Sleep(time.Minute)
		if condition(board, "device:air") == "" {
			t.Fatal("a failing device has no condition")
		}
		p.SetPace(pipeline.Pace{Every: every})
		synctest.Wait()
		if c := condition(board, "device:air"); c != "" {
			t.Errorf("condition %q", c)
		}
		p.SetPace(pipeline.Pace{Every: every, Enabled: true})
		synctest.Wait()
		if st := p.Stats().State; st != pipeline.Starting {
			t.Errorf("state %s, want starting", st)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A read under way is not disturbed by another pace, nor by none.
func TestSetPaceDuringARead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) {
			time.Sleep(timeout / 2)
			return []gateway.Reading{reading("t")}, nil
		}}
		sink := &tray{}
		p := newPoller(t, s, sink, newBoard())
		stop := running(p.Run)
		for len(s.reads()) == 0 {
			time.Sleep(timeout / 100)
		}
		p.SetPace(pipeline.Pace{Every: every})
		time.Sleep(time.Hour)
		if n := len(sink.got()); n != 1 || p.Stats().State != pipeline.Disabled {
			t.Errorf("%d readings, state %s", n, p.Stats().State)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
