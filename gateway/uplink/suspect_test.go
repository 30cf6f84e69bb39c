package uplink_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

const allowed = 100 // bytes that the server of these tests takes

func tooLarge(m gateway.Message) bool { return len(m.Body) > allowed }

// fill adds messages of the given sizes to a lane.
func (r *rig) fill(sizes ...int) {
	for _, n := range sizes {
		r.store.Add(make([]byte, n))
	}
}

// deliveries are the sequence numbers that were confirmed, in order.
func (r *rig) deliveries() (all []uint64) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	for _, s := range r.hub.sessions {
		s.mu.Lock()
		for i, receipt := range s.receipts {
			select {
			case <-receipt.done:
				all = append(all, s.seqs[i])
			default:
			}
		}
		s.mu.Unlock()
	}
	return all
}

func (r *rig) rejected() (all []uint64) {
	for _, id := range r.store.Rejected() {
		all = append(all, id.Seq)
	}
	return all
}

// A server that cuts the connection at messages over its limit holds nobody
// up: they are set aside, and all others arrive in order, once each.
func TestMessagesThatTheServerCutsFor(t *testing.T) {
	for name, tc := range map[string]struct {
		sizes []int
		bad   []uint64
	}{
		"one":            {[]int{10, 20, 30, 200, 10, 20, 30, 40, 50}, []uint64{4}},
		"two in a row":   {[]int{10, 200, 300, 20, 30}, []uint64{2, 3}},
		"two apart":      {[]int{10, 200, 20, 300, 30}, []uint64{2, 4}},
		"the first":      {[]int{200, 10, 20, 30}, []uint64{1}},
		"large and good": {[]int{10, 90, 101, 95, 100}, []uint64{3}},
		"many":           {slices.Concat(slices.Repeat([]int{20}, 50), []int{500}, slices.Repeat([]int{20}, 50)), []uint64{51}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, 0, func(_ int, s *fakeSession) error { s.auto, s.cutAt = true, tooLarge; return nil })
				r.fill(tc.sizes...)
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				equal(t, "set aside", r.rejected(), tc.bad)
				var want []uint64
				for i := range tc.sizes {
					if !slices.Contains(tc.bad, uint64(i+1)) {
						want = append(want, uint64(i+1))
					}
				}
				equal(t, "delivered", r.deliveries(), want)
				r.stop()
			})
		})
	}
}

// The last message that waits cannot be told from a server that takes nothing;
// it is tried until there is another one.
func TestTheOnlyMessageIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 0, func(_ int, s *fakeSession) error { s.auto, s.cutAt = true, tooLarge; return nil })
		r.fill(10, 200)
		time.Sleep(3 * time.Hour)
		equal(t, "set aside", r.rejected(), nil)
		r.fill(10)
		time.Sleep(time.Hour)
		equal(t, "set aside", r.rejected(), []uint64{2})
		equal(t, "delivered", r.deliveries(), []uint64{1, 3})
		r.stop()
	})
}

// A used-up quota, which looks the same, costs no message, whenever it ends.
func TestAQuotaCostsNoMessage(t *testing.T) {
	for last := 3; last < 30; last++ {
		t.Run(fmt.Sprint(last), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, 0, func(n int, s *fakeSession) error {
					s.auto = true
					s.cutAt = func(gateway.Message) bool { return n > 1 && n <= last }
					return nil
				})
				r.fill(50, 40)
				synctest.Wait()
				r.hub.session(0).lose(errCut)
				r.fill(45, 40, 50, 30, 20)
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				equal(t, "set aside", r.rejected(), nil)
				equal(t, "delivered", r.deliveries(), []uint64{1, 2, 3, 4, 5, 6, 7})
				r.stop()
			})
		})
	}
}

// After a suspicion has proved wrong the window is as wide as before.
func TestTheWindowWidensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 1, func(n int, s *fakeSession) error {
			s.cutAt = func(gateway.Message) bool { return n <= 4 }
			return nil
		}, func(o *uplink.Options) { o.AckTimeout = 24 * time.Hour })
		time.Sleep(time.Hour)
		r.fill(10, 10, 10, 10, 10, 10)
		synctest.Wait()
		s := r.hub.session(r.hub.count() - 1)
		equal(t, "one at a time", s.published(), []uint64{1})
		s.puback(1)
		synctest.Wait()
		if got := s.published(); len(got) != 1+window {
			t.Errorf("%v sent, want %d in flight", got, window)
		}
		r.stop()
	})
}

// A message that takes too long for its PUBACK, on a slow line for example, is
// not accused.
func TestATimeoutAccusesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 0, func(n int, s *fakeSession) error {
			s.auto = true
			s.deaf = func(m gateway.Message) bool { return n <= 30 && tooLarge(m) }
			return nil
		})
		r.fill(10, 200, 10)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		equal(t, "set aside", r.rejected(), nil)
		if n := r.hub.count(); n < 30 {
			t.Errorf("%d sessions only", n)
		}
		if got := r.deliveries(); !slices.Contains(got, 2) {
			t.Errorf("delivered %v, want 2 among them", got)
		}
		r.stop()
	})
}
