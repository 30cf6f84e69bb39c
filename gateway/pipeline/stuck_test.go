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

func TestReadThatEndsAtItsTimeoutIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(ctx context.Context, _ int) ([]gateway.Reading, error) {
			<-ctx.Done()
			time.Sleep(200 * time.Millisecond) // what a driver may take to say so
			return nil, ctx.Err()
		}}
		p, _, stop := poll(t, s)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if st := p.Stats(); st.State != pipeline.Failing || st.Reads != 2 && st.Reads != 1 {
			t.Errorf("%+v", st)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStacksDoNotFillTheCard: a driver that panics each time says so once a minute.
func TestStacksDoNotFillTheCard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) { panic("nil map") }}
		log, lines := counted("driver panicked")
		p, _, stop := poll(t, s, func(o *pipeline.PollerOptions) { o.Log, o.Every = log, 100*time.Millisecond })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if st := p.Stats(); st.State != pipeline.Failing || st.Reason != "driver panicked: nil map; please report this" || st.Failures < 5999 {
			t.Errorf("%+v", st)
		}
		if n := lines(); n < 1 || n > 11 {
			t.Errorf("%d stacks in the log within 10 minutes, want one a minute", n)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPollerBeats(t *testing.T) {
	for name, change := range map[string]func(*pipeline.PollerOptions){
		"between slots": func(o *pipeline.PollerOptions) { o.Every = 24 * time.Hour },
		"in a read that takes its time": func(o *pipeline.PollerOptions) {
			o.Timeout = 30 * time.Minute
			o.Sensor = &sensor{read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
				select {
				case <-time.After(20 * time.Minute):
				case <-ctx.Done():
				}
				return one(ctx, n)
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				board := newBoard()
				_, _, stop := poll(t, &sensor{read: one}, func(o *pipeline.PollerOptions) { o.Health = board }, change)
				for range 100 {
					time.Sleep(37 * time.Second)
					if stuck := board.Stuck(); stuck != nil {
						t.Fatalf("silent: %v", stuck)
					}
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestStopDuringARead(t *testing.T) {
	for name, tt := range map[string]struct {
		read     func(ctx context.Context, n int) ([]gateway.Reading, error)
		runs     time.Duration
		took     time.Duration // of the stop, at most
		left     bool
		readings int
	}{
		"the driver hears of it and hands in what it has": {
			read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
				<-ctx.Done()
				readings, _ := one(ctx, n)
				return readings, ctx.Err()
			}, runs: 5 * time.Second, readings: 1,
		},
		"the driver is done within the grace": {
			read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
				time.Sleep(6 * time.Second)
				return one(ctx, n)
			}, runs: 5500 * time.Millisecond, took: 2 * time.Second, readings: 1,
		},
		"the driver never comes back": {
			read: func(context.Context, int) ([]gateway.Reading, error) {
				time.Sleep(time.Hour)
				return nil, nil
			}, runs: 5 * time.Second, took: 2 * time.Second, left: true,
		},
		"the driver was given up before and comes back now": {
			read: func(ctx context.Context, n int) ([]gateway.Reading, error) {
				time.Sleep(20*time.Second + 500*time.Millisecond)
				return one(ctx, n)
			}, runs: 20 * time.Second, took: 2 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				board := newBoard()
				s := &sensor{read: tt.read}
				p, to, stop := poll(t, s, func(o *pipeline.PollerOptions) {
					o.Health, o.Every, o.Timeout = board, time.Minute, 10*time.Second
				})
				time.Sleep(5 * time.Second)
				synctest.Wait()
				time.Sleep(time.Until(s.reads()[0].Add(tt.runs)))
				start := time.Now()
				err := stop()
				if took := time.Since(start); took > tt.took {
					t.Errorf("took %v", took)
				}
				if errors.Is(err, gateway.ErrTimeout) != tt.left || (err != nil) != tt.left {
					t.Errorf("error %v", err)
				}
				if n := len(to.got()); n != tt.readings {
					t.Errorf("%d readings, %+v", n, p.Stats())
				}
				if st := p.Stats(); st.State == pipeline.Failing || condition(board, "device:air") != "" || board.Stuck() != nil {
					t.Errorf("%+v, condition %q", st, condition(board, "device:air"))
				}
				time.Sleep(time.Hour) // lets go of what was left behind
			})
		})
	}
}
