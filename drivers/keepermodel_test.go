package drivers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// strict is a device that comes and goes by chance, takes its time, and notes
// everything that a keeper must not do.
type strict struct {
	mu     sync.Mutex
	random *rand.Rand
	open   bool
	safe   bool
	calls  int
	done   map[string]int
	faults []string
	ending bool
}

func (s *strict) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// change is Open or Close: alone, always.
func (s *strict) change(what string, open bool) error {
	s.mu.Lock()
	if s.calls > 0 && !s.ending {
		s.fault("%s while %d calls are under way", what, s.calls)
	}
	if open && s.open {
		s.fault("Open of an open device")
	}
	s.done[what]++
	s.open, s.safe = false, false
	s.calls++
	s.mu.Unlock()
	err := s.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls--
	s.open = open && err == nil
	return err
}

// use is what needs an open device, and one in its safe state unless that is
// what is wanted.
func (s *strict) use(what string) error {
	s.mu.Lock()
	switch {
	case !s.open:
		s.fault("%s of a closed device", what)
	case what == "Safe":
		s.safe = true
	case !s.safe:
		s.fault("%s before the safe state", what)
	}
	s.done[what]++
	s.calls++
	s.mu.Unlock()
	err := s.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls--
	return err
}

// pass takes its time and fails now and then.
func (s *strict) pass() error {
	s.mu.Lock()
	takes, luck := time.Duration(s.random.ExpFloat64()*float64(200*time.Millisecond)), s.random.IntN(10)
	s.mu.Unlock()
	time.Sleep(takes)
	switch luck {
	case 0:
		return gateway.ErrUnavailable
	case 1:
		return gateway.ErrTimeout
	default:
		return nil
	}
}

func (s *strict) Open(context.Context) error { return s.change("Open", true) }
func (s *strict) Close() error               { return s.change("Close", false) }
func (s *strict) Safe(context.Context) error { return s.use("Safe") }
func (s *strict) Actions() []gateway.Action  { return nil }

func (s *strict) Read(context.Context) ([]gateway.Reading, error) { return nil, s.use("Read") }

func (s *strict) Do(context.Context, gateway.Command) (map[string]any, error) {
	return nil, s.use("Do")
}

func (s *strict) Run(ctx context.Context, _ gateway.Sink) error {
	for ctx.Err() == nil {
		if err := s.use("Run"); err != nil {
			return err
		}
	}
	return nil
}

// TestWhateverHappens, a device is opened and closed alone, is safe before it
// acts, and is never asked while it is closed.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			type config struct{}
			s := &strict{random: rand.New(rand.NewPCG(seed, 0)), done: make(map[string]int)} //nolint:gosec // repeatable
			k := NewKeeper(KeeperOptions{Driver: entry("strict", func(config) (*strict, error) { return s, nil }), Config: &config{}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			var users sync.WaitGroup
			use := func(f func(context.Context)) {
				users.Go(func() {
					for ctx.Err() == nil {
						limited, cancel := context.WithTimeout(ctx, time.Second)
						f(limited)
						cancel()
						time.Sleep(time.Second)
					}
				})
			}
			use(func(ctx context.Context) { _, _ = k.Read(ctx) })
			use(func(ctx context.Context) { _, _ = k.Do(ctx, gateway.Command{}) })
			use(func(ctx context.Context) { _ = k.Check(ctx) })
			use(func(ctx context.Context) { _ = k.Safe(ctx) })
			use(func(context.Context) { _ = k.Run(ctx, nil) })
			users.Wait()
			s.mu.Lock()
			s.ending = true
			s.mu.Unlock()
			if err := k.Close(); err != nil && s.open {
				t.Errorf("seed %d: Close: %v", seed, err)
			}
			synctest.Wait()
			for _, what := range []string{"Open", "Close", "Safe", "Read", "Do", "Run"} {
				if s.done[what] < 100 {
					t.Errorf("seed %d: %s came only %d times", seed, what, s.done[what])
				}
			}
			for _, fault := range s.faults[:min(len(s.faults), 10)] {
				t.Errorf("seed %d: %s", seed, fault)
			}
		})
	}
}
