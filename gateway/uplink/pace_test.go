package uplink_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

func rate(bytesPerSecond int64) func(*uplink.Options) {
	return func(o *uplink.Options) { o.MaxRate = bytesPerSecond }
}

// bodies fills the store with messages of the same size.
func bodies(n, size int) func(*uplink.Options) {
	return func(o *uplink.Options) {
		for range n {
			o.Store.(*uplinktest.Store).Add(make([]byte, size))
		}
	}
}

// TestRateIsHeld looks at every 10 s of half a minute in virtual time, TLS and
// all: no more than the rate and a tenth, and no less by that.
func TestRateIsHeld(t *testing.T) {
	const overhead = 22 // of a TLS record
	for _, c := range []struct {
		rate int64
		size int
	}{{500, 200}, {8e3, 3800}, {64e3, 3800}, {20e3, 100}, {300e3, 3000}} {
		t.Run(fmt.Sprintf("%d of %d", c.rate, c.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lasts = 30 * time.Second
				each := c.size + overhead
				n := int(float64(c.rate) * lasts.Seconds() / float64(each))
				r := run(t, 0, func(_ int, s *fakeSession) error { s.auto, s.extra = true, overhead; return nil },
					rate(c.rate), bodies(n, c.size))
				time.Sleep(lasts + 10*time.Second)
				synctest.Wait()
				s := r.hub.session(0)
				if len(s.at) != n {
					t.Fatalf("%d of %d messages sent", len(s.at), n)
				}
				checkWindows(t, s.at, each, c.rate)
				r.stop()
			})
		})
	}
}

// checkWindows fails unless each 10 s that begin with a message hold the bytes
// of 10 s at the rate, within a tenth or one message.
func checkWindows(t *testing.T, at []time.Time, each int, rate int64) {
	t.Helper()
	want := float64(rate) * 10
	slack := max(want/10, float64(each))
	last := at[len(at)-1]
	end := 0
	for i, begin := range at {
		for end < len(at) && at[end].Sub(begin) < 10*time.Second {
			end++
		}
		bytes := float64((end - i) * each)
		if bytes > want+slack || last.Sub(begin) > 10*time.Second && bytes < want-slack {
			t.Fatalf("%.0f bytes in the 10 s from message %d on, want %.0f", bytes, i, want)
		}
	}
}

// TestRecordsDoNotWaitForTheRate, and telemetry makes up for them.
func TestRecordsDoNotWaitForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 0, auto, rate(1000), bodies(3, 5000))
		s := r.hub.session(0)
		time.Sleep(time.Second)
		r.store.AddTo(gateway.LaneResults, make([]byte, 2000))
		synctest.Wait()
		equal(t, "after 1 s", s.published(), []uint64{1, 4})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		equal(t, "after 6 s", s.published(), []uint64{1, 4})
		time.Sleep(1010 * time.Millisecond) // 5000 and 2000 bytes take 7 s
		synctest.Wait()
		equal(t, "after 7 s", s.published(), []uint64{1, 4, 2})
		if b := r.Stats().Bytes; b.Records.Out != 2000 || b.Telemetry.Out != 10_000 {
			t.Errorf("counted %+v", b)
		}
		r.stop()
	})
}

// TestBytesInFlightAreBounded: what a slow line has taken in cannot be
// overtaken, so that it must not be much.
func TestBytesInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 0, nil, rate(5000), bodies(4, 10_000))
		s := r.hub.session(0)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		equal(t, "without a PUBACK", s.published(), []uint64{1, 2}) // 4 s at the rate
		r.store.AddTo(gateway.LaneAlerts, []byte("{}"))
		synctest.Wait()
		equal(t, "with an alert", s.published(), []uint64{1, 2, 5})
		s.puback(1)
		synctest.Wait()
		equal(t, "after a PUBACK", s.published(), []uint64{1, 2, 5, 3})
		r.stop()
	})
}

// TestALostSessionOwesNothing: what was in flight is not charged twice, and a
// new session is paced from its beginning.
func TestALostSessionOwesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 0, func(n int, s *fakeSession) error { s.auto = n > 1; return nil }, rate(1000), bodies(20, 1000))
		time.Sleep(10 * time.Second)
		r.hub.session(0).lose(errCut)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !r.Stats().Connected {
			t.Fatal("not connected again")
		}
		before := len(r.hub.session(1).published())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(r.hub.session(1).published()) - before; n < 9 || n > 11 {
			t.Errorf("%d messages of 1 s each in 10 s", n)
		}
		r.stop()
	})
}

type plainStore struct{ uplink.Store }

func TestARateNeedsAStoreThatHolds(t *testing.T) {
	_, err := uplink.New(uplink.Options{Store: plainStore{&uplinktest.Store{}}, Upstream: &fakeUpstream{}, MaxRate: 1})
	if err == nil {
		t.Error("a rate with a store that cannot hold a lane")
	}
	if _, err = uplink.New(uplink.Options{Store: &uplinktest.Store{}, Upstream: &fakeUpstream{}, MaxRate: -1}); err == nil {
		t.Error("a rate below zero")
	}
}
