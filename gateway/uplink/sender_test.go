package uplink_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

var errCut = errors.New("cut")

func TestWindowAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 10, nil)
		s := r.hub.session(0)
		equal(t, "before any PUBACK", s.published(), []uint64{1, 2, 3, 4})
		s.puback(1)
		synctest.Wait()
		equal(t, "after one PUBACK", s.published(), []uint64{1, 2, 3, 4, 5})
		s.puback(4)
		synctest.Wait()
		equal(t, "after five", s.published(), []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9})
		s.puback(4)
		synctest.Wait()
		s.puback(1)
		synctest.Wait()
		st := r.Stats()
		if st.Published != 10 || st.Acknowledged != 10 || st.Resent != 0 || st.Reconnects != 0 || !st.Connected || st.LastPuback.IsZero() {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

func TestMissingPubackEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 10, func(n int, s *fakeSession) error { s.auto = n > 1; return nil })
		first := r.hub.session(0)
		first.puback(3)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		equal(t, "first session", first.published(), []uint64{1, 2, 3, 4, 5, 6, 7})
		if took := first.closed.Sub(first.opened); took != 30*time.Second {
			t.Errorf("closed after %v, want 30s", took)
		}
		equal(t, "second session", r.hub.session(1).published(), []uint64{4, 5, 6, 7, 8, 9, 10})
		if st := r.Stats(); st.Resent != 4 || st.Reconnects != 1 || st.Acknowledged != 10 {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

// PUBACKs that came just before the loss count: what they confirm is not repeated.
func TestLossMidWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 8, func(n int, s *fakeSession) error { s.auto = n > 1; return nil })
		first := r.hub.session(0)
		first.puback(2)
		first.lose(errCut)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		again := r.hub.session(1).published()
		if again[0] != 3 {
			t.Errorf("repeated from %d, want 3", again[0])
		}
		if st := r.Stats(); st.Acknowledged != 8 || st.Resent > window {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

// dater numbers the copies of a message.
type dater map[gateway.MessageID]int

func (d dater) Date(m gateway.Message) gateway.Message {
	d[m.ID]++
	m.Body = append([]byte("dated "), m.Body...)
	return m
}

func TestMessagesAreDatedEachTimeTheyAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := make(dater)
		r := run(t, 2, func(n int, s *fakeSession) error { s.auto = n > 1; return nil }, func(o *uplink.Options) { o.Dater = d })
		r.hub.session(0).lose(errCut)
		time.Sleep(2 * time.Second)
		r.stop()
		for i := range 2 {
			equal(t, "sent", r.hub.session(i).published(), []uint64{1, 2})
			for _, receipt := range r.hub.session(i).receipts {
				if receipt.size != len("dated {}") {
					t.Errorf("a message of %d bytes was sent, want one that is dated", receipt.size)
				}
			}
		}
		for id, n := range d {
			if n != 2 {
				t.Errorf("%s was dated %d times, want 2", id, n)
			}
		}
	})
}

func TestRefusalGoesToTheSlowEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 1, func(int, *fakeSession) error { return fmt.Errorf("check the key: %w", uplink.ErrRefused) })
		if got := r.conditions(); !slices.Equal(got, []string{uplink.ConditionOffline, uplink.ConditionRefused}) {
			t.Errorf("conditions %v right after the refusal", got)
		}
		time.Sleep(time.Hour)
		if n := r.hub.count(); n < 36 || n > 73 {
			t.Errorf("%d attempts in an hour, want one every 50 to 100 s", n)
		}
		if next := time.Until(r.Stats().NextAttempt); next < 0 || next > 100*time.Second {
			t.Errorf("next attempt in %v", next)
		}
		r.stop()
		if got := r.conditions(); got != nil {
			t.Errorf("conditions %v after the stop", got)
		}
	})
}

func TestUnreachableBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 1, func(int, *fakeSession) error { return gateway.ErrUnavailable })
		if got := r.conditions(); got != nil {
			t.Errorf("conditions %v at once", got)
		}
		time.Sleep(11 * time.Second)
		if got := r.conditions(); !slices.Equal(got, []string{uplink.ConditionOffline, uplink.ConditionUnavailable}) {
			t.Errorf("conditions %v after 11 s", got)
		}
		time.Sleep(time.Hour)
		if n := r.hub.count(); n < 40 || n > 140 {
			t.Errorf("%d attempts in an hour, want about one every 50 s", n)
		}
		r.stop()
	})
}

// Hubs that throttle let a client log in and then close: a CONNACK must not
// make the pauses short again, a PUBACK must.
func TestOnlyAPubackResetsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var throttled atomic.Bool
		throttled.Store(true)
		r := run(t, 1, func(_ int, s *fakeSession) error {
			if s.auto = !throttled.Load(); !s.auto {
				s.lose(errCut)
			}
			return nil
		})
		time.Sleep(time.Hour)
		n := r.hub.count()
		if n > 140 {
			t.Errorf("%d attempts in an hour", n)
		}
		if code, _ := r.conditionOf(t); code != uplink.ConditionQuota {
			t.Errorf("condition %q after an hour", code)
		}
		throttled.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !r.Stats().Connected || r.conditions() != nil {
			t.Fatalf("not back: %+v, conditions %v", r.Stats(), r.conditions())
		}
		last := r.hub.session(r.hub.count() - 1)
		last.lose(errCut)
		time.Sleep(time.Second)
		synctest.Wait()
		if !r.Stats().Connected {
			t.Error("not reconnected within a second after a loss that followed a PUBACK")
		}
		r.stop()
	})
}

func TestNotReadyAsksSoonAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ready atomic.Bool
		r := run(t, 1, func(_ int, s *fakeSession) error {
			if s.auto = true; !ready.Load() {
				return fmt.Errorf("clock not set: %w", uplink.ErrNotReady)
			}
			return nil
		})
		if c := r.health.Conditions(); len(c) != 1 || !strings.Contains(c[0].Summary, "clock not set") {
			t.Errorf("conditions %v, want one that names the clock", c)
		}
		time.Sleep(time.Hour)
		if n := r.hub.count(); n > 3601 {
			t.Errorf("%d attempts in an hour, want one a second", n)
		}
		ready.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if st := r.Stats(); !st.Connected || st.Acknowledged != 1 || r.conditions() != nil {
			t.Errorf("a second later: %+v, conditions %v", st, r.conditions())
		}
		r.stop()
	})
}

func TestBadMessageBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 6, func(_ int, s *fakeSession) error {
			s.auto = true
			s.rejects[2] = uplink.ErrTooLarge
			s.rejects[5] = gateway.ErrInvalid
			return nil
		})
		equal(t, "sent", r.hub.session(0).published(), []uint64{1, 3, 4, 6})
		var rejected []uint64
		for _, id := range r.store.Rejected() {
			rejected = append(rejected, id.Seq)
		}
		equal(t, "rejected", rejected, []uint64{2, 5})
		if st := r.Stats(); st.Rejected != 2 || st.Acknowledged != 4 || st.Reconnects != 0 {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

func TestStopWaitsForPubacksThatAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 3, nil)
		s := r.hub.session(0)
		time.AfterFunc(500*time.Millisecond, func() { s.puback(3) })
		start := time.Now()
		r.stop()
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("stopped after %v, want 500ms", took)
		}
		if st := r.Stats(); st.Acknowledged != 3 || st.Connected {
			t.Errorf("stats %+v", st)
		}
		if s.closed.IsZero() {
			t.Error("session not closed")
		}
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 3, nil)
		start := time.Now()
		r.stop()
		if took := time.Since(start); took != time.Second {
			t.Errorf("stopped after %v, want the grace of 1s", took)
		}
	})
}

func TestRenewalDrainsAndReconnectsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 10, func(n int, s *fakeSession) error { s.auto = n > 1; return nil })
		time.Sleep(10 * time.Second)
		first := r.hub.session(0)
		close(first.renew)
		synctest.Wait()
		if n := r.hub.count(); n != 1 {
			t.Fatalf("%d connections before the window was drained", n)
		}
		first.puback(4)
		synctest.Wait()
		equal(t, "first session", first.published(), []uint64{1, 2, 3, 4})
		equal(t, "second session", r.hub.session(1).published(), []uint64{5, 6, 7, 8, 9, 10})
		if st := r.Stats(); st.Resent != 0 || st.LastError != "" {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

func TestRenewalAtOnceIsNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 0, func(_ int, s *fakeSession) error { close(s.renew); return nil })
		time.Sleep(time.Hour)
		if n := r.hub.count(); n > 140 {
			t.Errorf("%d connections in an hour", n)
		}
		r.stop()
	})
}

func TestStartIsJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 0, nil, func(o *uplink.Options) { o.StartJitter = 5 * time.Second })
		if n := r.hub.count(); n != 0 {
			t.Error("connected without a pause")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := r.hub.count(); n != 1 {
			t.Errorf("%d connections after the longest jitter, want 1", n)
		}
		r.stop()
	})
}

func TestNewWantsItsParts(t *testing.T) {
	if _, err := uplink.New(uplink.Options{}); err == nil {
		t.Error("a Sender without store and upstream")
	}
}
