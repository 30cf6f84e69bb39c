package drivers

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

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

// TestCloseWhileACallHangs: an output takes its safe state all the same, and what
// does not come back is named.
func TestCloseWhileACallHangs(t *testing.T) {
	for want, hangs := range map[string]func(*pump){
		"": func(*pump) {},
		"closing it has not come back and is left behind": func(p *pump) { p.closing = make(chan struct{}) },
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pump{}
			k := keep(p)
			if err := k.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			hang := make(chan struct{})
			p.set(func(p *pump) { p.hang = hang })
			go func() { _, _ = k.Read(t.Context()) }()
			synctest.Wait()
			p.set(func(p *pump) { p.hang = nil })
			p.set(hangs)
			start := time.Now()
			err := k.Close()
			if want == "" && err != nil || want != "" && (!errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), want)) {
				t.Errorf("Close: %v, want %q", err, want)
			}
			if took := time.Since(start); took > closeTime {
				t.Errorf("Close took %v", took)
			}
			wantJournal(t, p, "remember:42 open safe read safe close")
			close(hang)
			if p.closing != nil {
				close(p.closing)
			}
		})
	}
}

// TestSafeStateThatHangs is told while it does, and again when it is over.
func TestSafeStateThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan error, 3)
		p := &pump{}
		k := keep(p, func(o *KeeperOptions) { o.Safety = func(problem error) { told <- problem } })
		if err := k.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		hang := make(chan struct{})
		p.set(func(p *pump) { p.hang = hang })
		if err := k.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if first, second := <-told, <-told; first != nil || !errors.Is(second, gateway.ErrTimeout) {
			t.Errorf("told %v, %v", first, second)
		}
		wantJournal(t, p, "remember:42 open safe safe close")
		close(hang)
		if last := <-told; last != nil {
			t.Errorf("told %v", last)
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
