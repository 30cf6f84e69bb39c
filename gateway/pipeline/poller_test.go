package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// sensor answers as the test says.
type sensor struct {
	read func(ctx context.Context, n int) ([]gateway.Reading, error)

	mu    sync.Mutex
	times []time.Time
}

func (s *sensor) Read(ctx context.Context) ([]gateway.Reading, error) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	n := len(s.times)
	s.mu.Unlock()
	return s.read(ctx, n)
}

func (s *sensor) reads() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.times)
}

// tray is a sink that keeps what it is given.
type tray struct {
	refuse error

	mu       sync.Mutex
	readings []gateway.Reading
	gaps     []gateway.Gap
}

func (s *tray) Emit(_ context.Context, readings ...gateway.Reading) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readings = append(s.readings, readings...)
	return s.refuse
}

func (s *tray) Commit(context.Context, ...[]gateway.Reading) ([]gateway.MessageID, error) {
	return nil, errBroken
}

func (s *tray) Gap(_ context.Context, g gateway.Gap) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, g)
	return s.refuse
}

func (s *tray) got() []gateway.Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.readings)
}

const (
	every   = 10 * time.Second
	timeout = 3 * time.Second
)

func newPoller(t *testing.T, s gateway.Sensor, sink gateway.Sink, b *health.Board) *pipeline.Poller {
	t.Helper()
	p, err := pipeline.NewPoller(pipeline.PollerOptions{
		Device: "air", Sensor: s, Sink: sink, Clock: wall{}, Every: every, Timeout: timeout, Health: b,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPollerStampsWhatTheDriverLeavesOut and nothing else.
func TestPollerStampsWhatTheDriverLeavesOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		long := time.Now().Add(-time.Hour)
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) {
			return []gateway.Reading{
				{Name: "plain", Value: gateway.Number(1)},
				{Name: "own", Value: gateway.Number(2), Device: "inner", Time: long, Quality: gateway.Uncertain},
			}, nil
		}}
		sink := &tray{}
		p := newPoller(t, s, sink, newBoard())
		stop := running(p.Run)
		time.Sleep(every)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		got := sink.got()
		want := []gateway.Reading{
			{Device: "air", Name: "plain", Value: gateway.Number(1), Time: s.reads()[0], Quality: gateway.Good},
			{Device: "inner", Name: "own", Value: gateway.Number(2), Time: long, Quality: gateway.Uncertain},
		}
		if fmt.Sprint(got[:2]) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", got[:2], want)
		}
		stats := p.Stats()
		if stats.State != pipeline.Good || stats.Failures != 0 || len(stats.Latest) != 2 || stats.LastReading.IsZero() {
			t.Errorf("stats %+v", stats)
		}
	})
}

// TestPollerKeepsItsPace: slots are Every apart however long a read takes, and
// one that passes meanwhile is skipped.
func TestPollerKeepsItsPace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(_ context.Context, n int) ([]gateway.Reading, error) {
			time.Sleep(time.Duration(n%3) * time.Second)
			return []gateway.Reading{{Name: "a"}}, nil
		}}
		stop := running(newPoller(t, s, &tray{}, newBoard()).Run)
		time.Sleep(10 * every)
		if err := stop(); err != nil {
			t.Error(err)
		}
		times := s.reads()
		if len(times) < 9 {
			t.Fatalf("%d reads in ten periods", len(times))
		}
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap != every {
				t.Errorf("read %d came %v after the one before, want %v", i, gap, every)
			}
		}
	})
}

// TestPollersDoNotCrowd: with one period, each has a phase of its own.
func TestPollersDoNotCrowd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		phases := make(map[time.Time]bool)
		const pollers = 20
		for range pollers {
			s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) { return []gateway.Reading{{Name: "a"}}, nil }}
			stop := running(newPoller(t, s, &tray{}, newBoard()).Run)
			time.Sleep(every)
			_ = stop()
			phases[s.reads()[0].Truncate(time.Microsecond)] = true
		}
		if len(phases) < pollers {
			t.Errorf("%d phases for %d pollers", len(phases), pollers)
		}
	})
}

// TestFailingDevice: what came beside the error is passed on, the condition is
// raised once, and the first good read clears it.
func TestFailingDevice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(_ context.Context, n int) ([]gateway.Reading, error) {
			readings := []gateway.Reading{{Name: "half", Value: gateway.Number(float64(n))}}
			if n <= 3 {
				return readings, errors.Join(fmt.Errorf("humidity: %w", errBroken), errors.New("pressure: gone"))
			}
			return readings, nil
		}}
		sink, board := &tray{}, newBoard()
		p := newPoller(t, s, sink, board)
		stop := running(p.Run)
		time.Sleep(3 * every)
		synctest.Wait()
		stats := p.Stats()
		if stats.State != pipeline.Failing || stats.Failures != 3 || stats.Reason != "humidity: broken; pressure: gone" { // in one line
			t.Errorf("stats %+v", stats)
		}
		if c := condition(board, "device:air"); c != "device air: humidity: broken; pressure: gone" {
			t.Errorf("condition %q", c)
		}
		if n := len(sink.got()); n != 3 {
			t.Errorf("%d readings passed on, want 3", n)
		}
		time.Sleep(every)
		synctest.Wait()
		if c := condition(board, "device:air"); c != "" || p.Stats().State != pipeline.Good {
			t.Errorf("after a good read: condition %q, stats %+v", c, p.Stats())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestStuckDriver: a read that does not come back is given up on; nothing more
// is asked until it does, and then all goes on.
func TestStuckDriver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		free := make(chan struct{})
		s := &sensor{read: func(_ context.Context, n int) ([]gateway.Reading, error) {
			if n == 1 {
				<-free // deaf to its context
				return []gateway.Reading{{Name: "late"}}, nil
			}
			return []gateway.Reading{{Name: "fresh"}}, nil
		}}
		sink, board := &tray{}, newBoard()
		p := newPoller(t, s, sink, board)
		stop := running(p.Run)
		time.Sleep(5 * every)
		synctest.Wait()
		if n := len(s.reads()); n != 1 {
			t.Errorf("%d reads while one is stuck", n)
		}
		if p.Stats().State != pipeline.Stuck || !strings.Contains(condition(board, "device:air"), "has not come back within 3s") {
			t.Errorf("stats %+v, condition %q", p.Stats(), condition(board, "device:air"))
		}
		if stuck := board.Stuck(); len(stuck) != 0 {
			t.Errorf("a stuck driver stops the heart of %v: the watchdog would restart the gateway for one wire", stuck)
		}
		close(free)
		time.Sleep(2 * every)
		synctest.Wait()
		if got := sink.got(); len(got) == 0 || got[0].Name != "fresh" {
			t.Errorf("got %v, want only what is fresh", got)
		}
		if p.Stats().State != pipeline.Good || condition(board, "device:air") != "" {
			t.Errorf("stats %+v, condition %q", p.Stats(), condition(board, "device:air"))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDriverThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) { panic("index out of range") }}
		p := newPoller(t, s, &tray{}, newBoard())
		stop := running(p.Run)
		time.Sleep(2 * every)
		synctest.Wait()
		if stats := p.Stats(); stats.State != pipeline.Failing || !strings.Contains(stats.Reason, "driver panicked: index out of range") {
			t.Errorf("stats %+v", stats)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestPollerStop: a read that is under way has a moment to come back, and its
// readings count; one that does not is left behind by name.
func TestPollerStop(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		kept  int
		want  string
	}{
		{time.Second, 1, ""},
		{time.Hour, 0, "device air: a read begun 2s ago has not come back and is left behind"},
	} {
		bubble(t, func(t *testing.T) {
			begun := make(chan struct{}, 1)
			s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) {
				begun <- struct{}{}
				time.Sleep(c.takes)
				return []gateway.Reading{{Name: "last"}}, nil
			}}
			sink := &tray{}
			stop := running(newPoller(t, s, sink, newBoard()).Run)
			<-begun
			err := stop()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("a read of %v: Run returned %v, want %q", c.takes, err, c.want)
			}
			if c.want != "" && !errors.Is(err, gateway.ErrTimeout) {
				t.Errorf("%v does not wrap ErrTimeout", err)
			}
			if n := len(sink.got()); n != c.kept {
				t.Errorf("a read of %v: %d readings kept, want %d", c.takes, n, c.kept)
			}
			time.Sleep(c.takes) // let it end
		})
	}
}

func TestPollerNeedsItsParts(t *testing.T) {
	if _, err := pipeline.NewPoller(pipeline.PollerOptions{Device: "air"}); err == nil || !strings.Contains(err.Error(), `"air"`) {
		t.Errorf("got %v, want an error that names the device", err)
	}
}
