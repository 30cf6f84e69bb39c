package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// steps are the times between the reads.
func (s *sensor) steps() (list []time.Duration) {
	times := s.reads()
	for i := 1; i < len(times); i++ {
		list = append(list, times[i].Sub(times[i-1]))
	}
	return list
}

func one(context.Context, int) ([]gateway.Reading, error) {
	return []gateway.Reading{{Name: "t", Value: gateway.Number(1)}}, nil
}

// poll starts a poller of the device "air" that reads each second, for at
// most a second, unless the test changes that.
func poll(t *testing.T, s *sensor, change ...func(*pipeline.PollerOptions)) (*pipeline.Poller, *tray, func() error) {
	t.Helper()
	to := &tray{}
	o := pipeline.PollerOptions{
		Device: "air", Sensor: s, Sink: to, Clock: wall{}, Every: time.Second, Timeout: time.Second, Health: newBoard(),
	}
	for _, c := range change {
		c(&o)
	}
	p, err := pipeline.NewPoller(o)
	if err != nil {
		t.Fatal(err)
	}
	return p, to, running(p.Run)
}

// TestJumpsOfTheClockDoNotMoveTheSlots, nor do reads that take long.
func TestJumpsOfTheClockDoNotMoveTheSlots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		s := &sensor{read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
			time.Sleep(time.Duration(n%10) * 99 * time.Millisecond)
			return one(ctx, n)
		}}
		p, to, stop := poll(t, s, func(o *pipeline.PollerOptions) { o.Clock = &jumping{} })
		time.Sleep(time.Hour)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if first := s.reads()[0].Sub(start); first >= time.Second {
			t.Errorf("first read after %v, want less than the period", first)
		}
		if n := len(s.reads()); n < 3600 || n > 3601 {
			t.Errorf("%d reads in an hour", n)
		}
		for i, step := range s.steps() {
			if step != time.Second {
				t.Fatalf("read %d came %v after the one before", i+2, step)
			}
		}
		if n := uint64(len(to.got())); n != p.Stats().Reads {
			t.Errorf("%d readings of %d reads", n, p.Stats().Reads)
		}
	})
}

func TestLongPeriodBeginsSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: one}
		_, _, stop := poll(t, s, func(o *pipeline.PollerOptions) { o.Every = time.Hour })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(s.reads()) != 1 {
			t.Errorf("%d reads in the first 5 s", len(s.reads()))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSlotsThatPassAreSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
			if n == 2 {
				time.Sleep(2500 * time.Millisecond)
			}
			return one(ctx, n)
		}}
		_, to, stop := poll(t, s, func(o *pipeline.PollerOptions) { o.Timeout = 10 * time.Second })
		time.Sleep(6500 * time.Millisecond)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{time.Second, 3 * time.Second, time.Second}
		if got := s.steps(); len(got) < 3 || !slices.Equal(got[:3], want) {
			t.Errorf("steps %v, want %v", got, want)
		}
		if len(to.got()) != len(s.reads()) {
			t.Errorf("%d readings of %d reads", len(to.got()), len(s.reads()))
		}
	})
}

// TestReasonsThatDifferAreNotAllLogged: a counter in an error text must not
// fill the card.
func TestReasonsThatDifferAreNotAllLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(_ context.Context, n int) ([]gateway.Reading, error) {
			return nil, errors.New("frame " + time.Duration(n).String())
		}}
		log, lines := counted("health condition")
		_, _, stop := poll(t, s, func(o *pipeline.PollerOptions) { o.Log, o.Health = log, nil })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := lines(); n > 11 {
			t.Errorf("%d lines in 10 minutes", n)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
