package drivers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestSetUpAnew: a chip that answers and fails may have lost its power. An output
// is left alone.
func TestSetUpAnew(t *testing.T) {
	type config struct{}
	for want, kept := range map[string]func(*pump) *Keeper{
		"open read close open read": func(p *pump) *Keeper {
			return NewKeeper(KeeperOptions{Driver: entry("gauge", func(config) (*gauge, error) { return &gauge{p}, nil }), Config: &config{}})
		},
		"open safe read read": func(p *pump) *Keeper { return keep(p) },
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pump{}
			k := kept(p)
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
