package uplink_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

// badStore fails, or hangs, where the test wants it to.
type badStore struct {
	*uplinktest.Store
	nexts   atomic.Int32
	nextErr atomic.Pointer[error]
	ackErr  error
	hang    chan struct{}
}

func (s *badStore) Next(ctx context.Context) (gateway.Message, error) {
	s.nexts.Add(1)
	if err := s.nextErr.Load(); err != nil {
		return gateway.Message{}, *err
	}
	return s.Store.Next(ctx)
}

func (s *badStore) Ack(ids ...gateway.MessageID) error {
	if s.hang != nil {
		<-s.hang
	}
	return errors.Join(s.ackErr, s.Store.Ack(ids...))
}

func withStore(s *badStore) func(*uplink.Options) {
	return func(o *uplink.Options) {
		s.Store = o.Store.(*uplinktest.Store)
		o.Store = s
	}
}

func auto(_ int, s *fakeSession) error { s.auto = true; return nil }

func TestUnreadableStoreIsNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &badStore{}
		err := errors.New("bad sector")
		s.nextErr.Store(&err)
		r := run(t, 3, auto, withStore(s))
		time.Sleep(time.Minute)
		if n := s.nexts.Load(); n > 61 {
			t.Errorf("%d reads in a minute", n)
		}
		s.nextErr.Store(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		equal(t, "after the mend", r.hub.session(0).published(), []uint64{1, 2, 3})
		r.stop()
	})
}

func TestFailingAckBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 1, auto, withStore(&badStore{ackErr: errors.New("read-only file system")}))
		time.Sleep(time.Hour)
		if n := r.hub.count(); n > 140 {
			t.Errorf("%d sessions in an hour", n)
		}
		if st := r.Stats(); st.Acknowledged != 0 {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

func TestHeartBeatsWhileIdleAndOffline(t *testing.T) {
	for name, connect := range map[string]func(int, *fakeSession) error{
		"idle":    auto,
		"offline": func(int, *fakeSession) error { return gateway.ErrUnavailable },
		"refused": func(int, *fakeSession) error { return uplink.ErrRefused },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, 0, connect)
				for range 360 {
					time.Sleep(10 * time.Second)
					if stuck := r.health.Stuck(); stuck != nil {
						t.Fatalf("stuck: %v", stuck)
					}
				}
				r.stop()
			})
		})
	}
}

func TestHeartStopsInAStuckPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 3, func(_ int, s *fakeSession) error { s.auto, s.stuckAt = true, 2; return nil })
		time.Sleep(3 * time.Minute)
		if stuck := r.health.Stuck(); !slices.Equal(stuck, []string{"uplink"}) {
			t.Errorf("stuck: %v, want uplink", stuck)
		}
		r.stop()
	})
}

func TestHeartStopsInAStuckAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &badStore{hang: make(chan struct{})}
		r := run(t, 10, auto, withStore(s))
		time.Sleep(3 * time.Minute)
		if stuck := r.health.Stuck(); !slices.Equal(stuck, []string{"uplink"}) {
			t.Errorf("stuck: %v, want uplink", stuck)
		}
		close(s.hang)
		r.stop()
	})
}

// A hub that takes the login and then says nothing more must neither hold up
// the next attempt nor trip the watchdog.
func TestConnectIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 1, auto, func(o *uplink.Options) {
			o.Upstream.(*fakeUpstream).mute = func(n int) bool { return n == 1 }
		})
		for range 7 {
			time.Sleep(10 * time.Second)
			if stuck := r.health.Stuck(); stuck != nil {
				t.Fatalf("stuck: %v", stuck)
			}
		}
		if st := r.Stats(); r.hub.count() != 2 || st.Acknowledged != 1 {
			t.Errorf("%d attempts, stats %+v", r.hub.count(), st)
		}
		r.stop()
	})
}

// On a slow line the PUBACK of the last message in a window comes long after
// the message was sent. That is no reason to send all of it again.
func TestSlowLineIsNotTakenForDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 40, nil)
		s := r.hub.session(0)
		for i := range 40 {
			if i == 36 { // drain the last window, with nothing new to take
				close(s.renew)
			}
			time.Sleep(25 * time.Second) // a window takes 100 s
			if stuck := r.health.Stuck(); stuck != nil {
				t.Fatalf("stuck: %v", stuck)
			}
			s.puback(1)
			synctest.Wait()
		}
		if st := r.Stats(); st.Acknowledged != 40 || st.Published != 40 || st.Resent != 0 {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

// A Publish that hangs does not keep the PUBACK timeout from ending the session.
func TestStuckPublishIsFreedByTheAckTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 4, func(n int, s *fakeSession) error {
			if s.auto = n > 1; !s.auto {
				s.stuckAt = 3
			}
			return nil
		})
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if st := r.Stats(); st.Acknowledged != 4 || st.Reconnects != 1 {
			t.Errorf("stats %+v", st)
		}
		r.stop()
	})
}

func TestBackoffRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		r := run(t, 0, func(int, *fakeSession) error {
			times = append(times, time.Now())
			return gateway.ErrUnavailable
		})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		ceiling := time.Second
		for i := 1; i < len(times); i++ {
			if pause := times[i].Sub(times[i-1]); pause < 100*time.Millisecond || pause > ceiling {
				t.Errorf("pause %d: %v, want 100ms to %v", i, pause, ceiling)
			}
			ceiling = min(2*ceiling, 100*time.Second)
		}
		r.stop()
	})
}
