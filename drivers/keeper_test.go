package drivers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// TestLifeOfADevice: what is asked of the hardware, and in which order.
func TestLifeOfADevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pump{}
		k := keep(p)
		wantJournal(t, p, "remember:42")
		if actions := k.Actions(); len(actions) != 2 {
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

// TestPatientActionWaits for a device that is absent, as long as it may.
func TestPatientActionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pump{open: errGone}
		k := keep(p)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := k.Do(ctx, gateway.Command{Action: "wait"}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("its time is over: %v", err)
		}
		time.AfterFunc(time.Minute, func() { p.set(func(p *pump) { p.open = nil }) })
		if _, err := k.Do(t.Context(), gateway.Command{Action: "wait"}); err != nil {
			t.Errorf("it has come: %v", err)
		}
		p.set(func(p *pump) { p.do = errGone })
		if _, err := k.Do(t.Context(), gateway.Command{Action: "wait"}); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("it went while it acted: %v", err)
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
// TestSafeStateAtTheEnd is taken of a device that was lost, too, if it can be
// reached, and it is told if it cannot.
func TestSafeStateAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		name         string
		before, last func(*pump) // before the end, and at it
		want         string
		reached      bool
	}{
		{"lost by a read", nil, func(*pump) {}, "read safe close", true},
		{"lost, and has to be opened anew", nil, func(p *pump) { p.stale = true }, "read safe close open safe close", true},
		{"lost, and gone", nil, func(p *pump) { p.safe, p.open = errGone, errGone }, "read safe close open close", false},
		{"not found again", func(p *pump) { p.open = errGone }, func(p *pump) { p.open = nil }, "read close open close open safe close", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told error
				p := &pump{}
				k := keep(p, func(o *KeeperOptions) { o.Safety = func(problem error) { told = problem } })
				if err := k.Check(t.Context()); err != nil {
					t.Fatal(err)
				}
				p.set(func(p *pump) { p.read = errGone })
				_, _ = k.Read(t.Context())
				if c.before != nil {
					p.set(c.before)
					time.Sleep(time.Second)
					_, _ = k.Read(t.Context())
				}
				p.set(c.last)
				if err := k.Close(); err != nil {
					t.Error(err)
				}
				wantJournal(t, p, "remember:42 open safe "+c.want)
				if (told == nil) != c.reached {
					t.Errorf("told %v", told)
				}
			})
		})
	}
}

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
		if _, err := k.Read(t.Context()); err != nil || len(k.Actions()) != len(p.Actions()) {
			t.Errorf("Read: %v; actions %v", err, k.Actions())
		}
	})
}

func (panicking) Open(context.Context) error { panic("nil map") }
