package uplink_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// TestPaceIsShared: two that send by turns keep to the rate together, and one
// alone has all of it.
func TestPaceIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, piece, lasts = 8000, 1000, 100 * time.Second
		m, err := uplink.NewMeter(uplink.MeterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), lasts)
		defer stop()
		sender := func(until time.Duration) (sent int) {
			p := uplink.NewPace(rate, m)
			for begun := time.Now(); time.Since(begun) < until && p.Wait(ctx) == nil; sent += piece {
				m.Socket(0, piece)
			}
			return sent
		}
		var a, b int
		var both sync.WaitGroup
		both.Go(func() { a = sender(lasts) })
		both.Go(func() { b = sender(lasts / 2) })
		both.Wait()
		want := int(rate * lasts.Seconds())
		if sum := a + b; sum < want*95/100 || sum > want*105/100 {
			t.Errorf("%d bytes in %v, want %d", sum, lasts, want)
		}
		if b < want/5 || b > want*3/10 {
			t.Errorf("one of the two sent %d bytes in the first half, want some %d", b, want/4)
		}
	})
}

func TestNoPace(t *testing.T) {
	p := uplink.NewPace(0, nil)
	if err := p.Wait(t.Context()); err != nil || p != nil {
		t.Errorf("%v %v", p, err)
	}
}
