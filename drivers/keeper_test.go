package drivers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// pump is a device under the control of the test: what it answers is set by the
// fields, what it was asked is in the journal.
type pump struct {
	mu    sync.Mutex
	open  error // what Open answers
	read  error
	safe  error
	do    error
	hang  chan struct{} // Open and Read come back when it is closed
	took  []string      // what was asked, in order
	times []time.Time
}

func (p *pump) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, what)
	if what == "open" {
		p.times = append(p.times, time.Now())
	}
}

func (p *pump) set(change func(*pump)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *pump) get() (journal string, opens []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.took, " "), append([]time.Time(nil), p.times...)
}

func (p *pump) answer(err *error) error {
	p.mu.Lock()
	hang := p.hang
	p.mu.Unlock()
	if hang != nil {
		<-hang
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return *err
}

func (p *pump) Open(context.Context) error { p.note("open"); return p.answer(&p.open) }
func (p *pump) Close() error               { p.note("close"); return nil }
func (p *pump) Safe(context.Context) error { p.note("safe"); return p.answer(&p.safe) }
func (p *pump) Read(context.Context) ([]gateway.Reading, error) {
	p.note("read")
	if err := p.answer(&p.read); err != nil {
		return nil, err
	}
	return []gateway.Reading{{Name: "flow"}}, nil
}

func (p *pump) Actions() []gateway.Action { return []gateway.Action{{Name: "stop"}} }

func (p *pump) Do(context.Context, gateway.Command) (map[string]any, error) {
	p.note("do")
	return nil, p.answer(&p.do)
}

func (p *pump) Remember(m gateway.Memory) {
	data, _ := m.Load()
	p.note("remember:" + string(data))
}

type memory string

func (m memory) Load() ([]byte, error) { return []byte(m), nil }
func (memory) Save([]byte) error       { return nil }

var errGone = fmt.Errorf("no answer: %w", gateway.ErrUnavailable)

// keep is a keeper of p.
func keep(p *pump, changes ...func(*KeeperOptions)) *Keeper {
	type config struct{}
	driver := entry("pump", func(config) (*pump, error) { return p, nil })
	o := KeeperOptions{Driver: driver, Config: &config{}, Memory: memory("42")}
	for _, change := range changes {
		change(&o)
	}
	return NewKeeper(o)
}

func wantJournal(t *testing.T, p *pump, want string) {
	t.Helper()
	if got, _ := p.get(); got != want {
		t.Errorf("asked: %s\nwant:  %s", got, want)
	}
}

// TestLifeOfADevice: what is asked of the hardware, and in which order.
func TestLifeOfADevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pump{}
		k := keep(p)
		wantJournal(t, p, "remember:42")
		if actions := k.Actions(); len(actions) != 1 {
			t.Errorf("before it is open: actions %v", actions)
		}
		for range 2 {
			if readings, err := k.Read(t.Context()); err != nil || len(readings) != 1 {
				t.Errorf("Read: %v, %v", readings, err)
			}
		}
		wantJournal(t, p, "remember:42 open safe read read")
		p.set(func(p *pump) { p.read = errGone })
		if _, err := k.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("Read: %v", err)
		}
		p.set(func(p *pump) { p.read = nil })
		if _, err := k.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || err.Error() != errGone.Error() {
			t.Errorf("in the pause: %v, want %v", err, errGone)
		}
		time.Sleep(time.Second)
		if _, err := k.Read(t.Context()); err != nil {
			t.Errorf("after the pause: %v", err)
		}
		if err := errors.Join(k.Close(), k.Close()); err != nil {
			t.Error(err)
		}
		if _, err := k.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
		wantJournal(t, p, "remember:42 open safe read read read close open safe read safe close")
	})
}

// TestPausesGrow from one second to one minute, whoever asks however often.
func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pump{open: errGone}
		k := keep(p)
		for range 3600 {
			_, err := k.Read(t.Context())
			if !errors.Is(err, gateway.ErrUnavailable) || err.Error() != errGone.Error() {
				t.Fatalf("%v", err)
			}
			time.Sleep(time.Second)
		}
		_, opens := p.get()
		if n := len(opens); n < 60 || n > 130 {
			t.Errorf("%d attempts in an hour, want one each half to whole minute", n)
		}
		for i, most := 1, time.Second; i < len(opens); i++ {
			if gap := opens[i].Sub(opens[i-1]); gap < most/2 || gap > most+time.Second {
				t.Errorf("attempt %d after %v, want %v to %v", i, gap, most/2, most)
			}
			most = min(2*most, time.Minute)
		}
		p.set(func(p *pump) { p.open = nil })
		time.Sleep(time.Minute)
		if _, err := k.Read(t.Context()); err != nil {
			t.Errorf("it is there: %v", err)
		}
		p.set(func(p *pump) { p.read = errGone })
		_, _ = k.Read(t.Context())
		time.Sleep(time.Second)
		_, _ = k.Read(t.Context())
		if _, after := p.get(); len(after) != len(opens)+2 {
			t.Error("after it has worked, the pause is longer than a second")
		}
	})
}

// TestCommandDoesNotWaitForAPause, but a flood of them does.
func TestCommandDoesNotWaitForAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pump{open: errGone}
		k := keep(p)
		for range 10 { // into the long pauses
			_, _ = k.Read(t.Context())
			time.Sleep(time.Minute)
		}
		_, _ = k.Read(t.Context())
		time.Sleep(2 * time.Second)
		before, _ := p.get()
		for range 100 {
			if _, err := k.Do(t.Context(), gateway.Command{Action: "stop"}); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "nothing was done: no answer") {
				t.Fatalf("Do: %v", err)
			}
		}
		if got, _ := p.get(); got != before+" open close" {
			t.Errorf("100 commands at once: %s", strings.TrimPrefix(got, before))
		}
		p.set(func(p *pump) { p.open = nil })
		time.Sleep(time.Second)
		if _, err := k.Do(t.Context(), gateway.Command{Action: "stop"}); err != nil {
			t.Errorf("Do: %v", err)
		}
		if got, _ := p.get(); got != before+" open close open safe do" {
			t.Errorf("asked: %s", strings.TrimPrefix(got, before))
		}
	})
}

// TestNothingActsBeforeTheSafeState, nor if it cannot be taken.
func TestNothingActsBeforeTheSafeState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		p := &pump{safe: errors.New("stuck relay")}
		k := keep(p, func(o *KeeperOptions) { o.Safety = func(problem error) { told = append(told, problem) } })
		if _, err := k.Do(t.Context(), gateway.Command{Action: "stop"}); err == nil || !strings.Contains(err.Error(), "it did not take its safe state: stuck relay") {
			t.Errorf("Do: %v", err)
		}
		wantJournal(t, p, "remember:42 open safe close")
		p.set(func(p *pump) { p.safe = nil })
		time.Sleep(time.Second)
		if err := k.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if len(told) != 2 || told[0] == nil || told[1] != nil {
			t.Errorf("told %v", told)
		}
	})
}

// onFile is the config of a device with a device file.
type onFile struct{ path string }

func (c *onFile) Places() []bus.Place { return []bus.Place{{At: c.path}} }

// TestPluggedInAgain: it is opened within a second of coming back.
func TestPluggedInAgain(t *testing.T) {
	// What stands for the device file must be below /dev, where such files are.
	shm, err := os.MkdirTemp("/dev/shm", "fieldpost-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shm) })
	file := filepath.Join(shm, "ttyUSB0")
	synctest.Test(t, func(t *testing.T) {
		p := &pump{open: errGone}
		k := NewKeeper(KeeperOptions{
			Driver: entry("pump", func(onFile) (*pump, error) { return p, nil }), Config: &onFile{path: file}, Memory: memory(""),
		})
		for range 600 {
			if err := k.Check(t.Context()); err == nil {
				t.Fatal("found")
			}
			time.Sleep(time.Second)
		}
		_, before := p.get()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := k.Check(t.Context()); err == nil { // not ready yet: its owner is to be set
			t.Fatal("found")
		}
		p.set(func(p *pump) { p.open = nil })
		time.Sleep(time.Second)
		if err := k.Check(t.Context()); err != nil {
			t.Errorf("a second later: %v", err)
		}
		if _, after := p.get(); len(after) != len(before)+2 {
			t.Errorf("%d attempts", len(after)-len(before))
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := k.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "pulled out") {
			t.Errorf("pulled out: %v", err)
		}
	})
}

// TestStuckOpenHoldsNobodyUp: it is named, each caller within its time.
func TestStuckOpenHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pump{hang: make(chan struct{})}
		k := keep(p)
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			_, err := k.Read(ctx)
			cancel()
			if !errors.Is(err, gateway.ErrTimeout) || !errors.Is(err, gateway.ErrUnavailable) || !strings.HasPrefix(err.Error(), map[bool]string{false: "it is still being opened", true: "opening it has not come back yet"}[i > 7]) {
				t.Errorf("read %d: %v", i, err)
			}
			if took := time.Since(start); took > time.Second || i > 8 && took > 0 {
				t.Errorf("read %d took %v", i, took)
			}
		}
		start := time.Now()
		if err := k.Close(); !errors.Is(err, gateway.ErrTimeout) || time.Since(start) != closeTime {
			t.Errorf("Close after %v: %v", time.Since(start), err)
		}
		wantJournal(t, p, "remember:42 open")
		close(p.hang)
	})
}

// TestStuckCallKeepsTheDeviceFromBeingOpened, and holds nobody up.
func TestStuckCallKeepsTheDeviceFromBeingOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pump{}
		k := keep(p)
		if err := k.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		hang := make(chan struct{})
		p.set(func(p *pump) { p.hang = hang })
		read := make(chan error)
		go func() {
			_, err := k.Read(t.Context())
			read <- err
		}()
		synctest.Wait()
		p.set(func(p *pump) { p.hang, p.do = nil, errGone })
		_, _ = k.Do(t.Context(), gateway.Command{Action: "stop"})
		time.Sleep(time.Hour)
		if _, err := k.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "before a call into its driver has come back") {
			t.Errorf("Read: %v", err)
		}
		wantJournal(t, p, "remember:42 open safe read do")
		close(hang)
		if err := <-read; err != nil {
			t.Errorf("the read that hung: %v", err)
		}
		if _, err := k.Read(t.Context()); err != nil {
			t.Errorf("Read: %v", err)
		}
		wantJournal(t, p, "remember:42 open safe read do close open safe read")
	})
}

// TestSetUpAnew: a chip that answers and fails may have lost its power. An output
// is left alone.
func TestSetUpAnew(t *testing.T) {
	type config struct{}
	for want, make := range map[string]func(*pump) *Keeper{
		"open read close open read": func(p *pump) *Keeper {
			return NewKeeper(KeeperOptions{Driver: entry("gauge", func(config) (*gauge, error) { return &gauge{p}, nil }), Config: &config{}})
		},
		"open safe read read": func(p *pump) *Keeper { return keep(p) },
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pump{}
			k := make(p)
			_, _ = k.Read(t.Context())
			p.set(func(p *pump) { p.read = gateway.ErrInvalid })
			for range 5 {
				_, _ = k.Read(t.Context())
			}
			time.Sleep(renewEvery)
			_, _ = k.Read(t.Context())
			p.set(func(p *pump) { p.read = nil })
			if _, err := k.Read(t.Context()); err != nil {
				t.Error(err)
			}
			got, _ := p.get()
			got = strings.ReplaceAll(strings.TrimPrefix(got, "remember:42 "), " read read read read read read read", " read")
			if got != want {
				t.Errorf("asked: %s\nwant:  %s", got, want)
			}
		})
	}
}

// gauge can be opened and read.
type gauge struct{ of *pump }

func (g *gauge) Open(ctx context.Context) error                      { return g.of.Open(ctx) }
func (g *gauge) Close() error                                        { return g.of.Close() }
func (g *gauge) Read(ctx context.Context) ([]gateway.Reading, error) { return g.of.Read(ctx) }

// TestPartOfADevice that is missing does not make the device absent, nor does
// anything one that need not be opened.
func TestPartOfADevice(t *testing.T) {
	type config struct{}
	for want, k := range map[string]*Keeper{
		"remember: open safe read read": NewKeeper(KeeperOptions{
			Driver: entry("half", func(config) (*half, error) { return &half{}, nil }), Config: &config{}, Memory: memory(""),
		}),
		"read read": NewKeeper(KeeperOptions{
			Driver: entry("plain", func(config) (*plain, error) { return &plain{}, nil }), Config: &config{}, Memory: memory(""),
		}),
	} {
		for range 2 {
			if _, err := k.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
				t.Error(err)
			}
		}
		if p, ok := k.device.Sensor.(interface{ get() (string, []time.Time) }); ok {
			if got, _ := p.get(); got != want {
				t.Errorf("asked: %s\nwant:  %s", got, want)
			}
		}
	}
}

// half gives readings beside its error.
type half struct{ pump }

func (h *half) Read(context.Context) ([]gateway.Reading, error) {
	h.note("read")
	return []gateway.Reading{{Name: "flow"}}, errGone
}

// plain has nothing to open.
type plain struct{ asked pump }

func (p *plain) get() (string, []time.Time) { return p.asked.get() }

func (p *plain) Read(context.Context) ([]gateway.Reading, error) {
	p.asked.note("read")
	return nil, errGone
}

// TestDeviceThatCannotBeMade has no actions, says why, and may be made later.
func TestDeviceThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type config struct{}
		p := &pump{}
		wrong := errors.New("mode 7 does not exist")
		driver := entry("pump", func(config) (*pump, error) { return p, wrong })
		k := NewKeeper(KeeperOptions{Driver: driver, Config: &config{}})
		if can := k.Contracts(); can.Sensor == nil || can.Actuator == nil || can.Safer == nil || can.Stream != nil {
			t.Errorf("contracts %+v", can)
		}
		if actions := k.Actions(); actions != nil {
			t.Errorf("actions %v", actions)
		}
		if _, err := k.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || err.Error() != wrong.Error() {
			t.Errorf("Read: %v", err)
		}
		wrong = nil
		time.Sleep(time.Second)
		if _, err := k.Read(t.Context()); err != nil || len(k.Actions()) != 1 {
			t.Errorf("Read: %v", err)
		}
	})
}

func TestDriverThatPanicsWhenOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		k := keep(&pump{open: nil}, func(o *KeeperOptions) { o.Log = slog.New(slog.NewTextHandler(&logs, nil)) })
		k.device.Opener = panicking{}
		if err := k.Check(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "driver panicked: nil map") {
			t.Errorf("Check: %v", err)
		}
		if !strings.Contains(logs.String(), "goroutine") {
			t.Errorf("no stack in the log: %s", &logs)
		}
	})
}

type panicking struct{}

func (panicking) Open(context.Context) error { panic("nil map") }

// talker is a stream, and an actuator that can be lost while it talks.
type talker struct{ pump }

func (s *talker) Run(ctx context.Context, _ gateway.Sink) error {
	s.note("run")
	<-ctx.Done()
	return nil
}

// TestStreamEndsWhenTheDeviceIsLost, since it could not be opened before.
func TestStreamEndsWhenTheDeviceIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type config struct{}
		s := &talker{}
		k := NewKeeper(KeeperOptions{Driver: entry("talker", func(config) (*talker, error) { return s, nil }), Config: &config{}, Memory: memory("")})
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { ended <- k.Run(ctx, nil) }()
		synctest.Wait()
		s.set(func(p *pump) { p.do = errGone })
		_, _ = k.Do(t.Context(), gateway.Command{Action: "stop"})
		if err := <-ended; !errors.Is(err, gateway.ErrUnavailable) || err.Error() != errGone.Error() {
			t.Errorf("Run: %v", err)
		}
		time.Sleep(time.Second)
		go func() { ended <- k.Run(ctx, nil) }()
		synctest.Wait()
		wantJournal(t, &s.pump, "remember: open safe run do close open safe run")
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// caller is a stream that opens what it needs by itself.
type caller struct{ of pump }

func (c *caller) Run(context.Context, gateway.Sink) error {
	c.of.note("open")
	return errGone
}

// TestStreamThatOpensByItself has the same pauses as others.
func TestStreamThatOpensByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type config struct{}
		c := &caller{}
		k := NewKeeper(KeeperOptions{Driver: entry("caller", func(config) (*caller, error) { return c, nil }), Config: &config{}})
		for range 3600 {
			if err := k.Run(t.Context(), nil); !errors.Is(err, gateway.ErrUnavailable) || err.Error() != errGone.Error() {
				t.Fatalf("Run: %v", err)
			}
			time.Sleep(time.Second)
		}
		if _, opens := c.of.get(); len(opens) < 60 || len(opens) > 130 {
			t.Errorf("%d attempts in an hour, want one each half to whole minute", len(opens))
		}
	})
}
