package uplink_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// conditionOf is the one condition beside uplink-offline, with its summary.
func (r *rig) conditionOf(t *testing.T) (code, summary string) {
	t.Helper()
	for _, c := range r.health.Conditions() {
		if c.Code == uplink.ConditionOffline {
			continue
		}
		if code != "" {
			t.Errorf("both %s and %s stand", code, c.Code)
		}
		code, summary = c.Code, c.Summary
	}
	return code, summary
}

// TestCauses: what keeps a session from opening has a condition of its own, which
// is over with it.
func TestCauses(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("hub: %w", &net.OpError{Op: "dial", Err: err}) }
	for want, err := range map[string]error{
		uplink.ConditionRefused:     fmt.Errorf("check the key: %w", uplink.ErrRefused),
		uplink.ConditionName:        wrap(&net.DNSError{Err: "no such host", Name: "hub.example", IsNotFound: true}),
		uplink.ConditionUnavailable: fmt.Errorf("it says that it is %w", gateway.ErrUnavailable),
		uplink.ConditionUntrusted:   fmt.Errorf("hub: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}),
		uplink.ConditionUnreachable: wrap(errors.New("no route to host")),
		uplink.ConditionThrottled:   fmt.Errorf("subscribe: %w", uplink.ErrCutShort),
		"":                          fmt.Errorf("ca_file: %w", gateway.ErrInvalid),
		uplink.ConditionRefused + " of a subscription": fmt.Errorf("subscribe: %w", gateway.ErrDenied),
		" of a file": fmt.Errorf("ca_file: %w", &fs.PathError{Op: "open", Path: "/etc/ca.pem", Err: fs.ErrNotExist}),
	} {
		want, _, _ := strings.Cut(want, " ")
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fails atomic.Bool
				fails.Store(true)
				r := run(t, 1, func(_ int, s *fakeSession) error {
					if s.auto = true; fails.Load() {
						return err
					}
					return nil
				})
				time.Sleep(40 * time.Second)
				synctest.Wait()
				code, summary := r.conditionOf(t)
				if code != want || want != "" && !strings.Contains(summary, err.Error()) {
					t.Errorf("condition %s: %s", code, summary)
				}
				if !slices.Contains(r.conditions(), uplink.ConditionOffline) {
					t.Error("not said to be offline")
				}
				fails.Store(false)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := r.conditions(); got != nil {
					t.Errorf("connected, conditions %v", got)
				}
				r.stop()
			})
		})
	}
}

// TestResolverThatIsGone is no reason to doubt the name.
func TestResolverThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 1, func(int, *fakeSession) error {
			return &net.DNSError{Err: "server misbehaving", Name: "hub.example", IsTemporary: true}
		})
		time.Sleep(time.Minute)
		if code, summary := r.conditionOf(t); code != uplink.ConditionName || !strings.Contains(summary, "names cannot be looked up") {
			t.Errorf("condition %s: %s", code, summary)
		}
		r.stop()
	})
}

// TestOneCauseAtATime: the last one counts.
func TestOneCauseAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 1, func(n int, _ *fakeSession) error {
			if n%2 == 0 {
				return gateway.ErrUnavailable
			}
			return errors.New("no route to host")
		})
		seen := map[string]bool{}
		for range 600 {
			time.Sleep(time.Second)
			synctest.Wait()
			code, _ := r.conditionOf(t)
			seen[code] = true
		}
		if !seen[uplink.ConditionUnavailable] || !seen[uplink.ConditionUnreachable] {
			t.Errorf("seen %v", seen)
		}
		r.stop()
		if got := r.conditions(); got != nil {
			t.Errorf("conditions %v after the stop", got)
		}
	})
}

// TestKicked: two clients with one identity throw each other out. What is
// confirmed in between must not hide it.
func TestKicked(t *testing.T) {
	for name, messages := range map[string]int{"with a backlog": 1000, "with nothing to send": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var kick atomic.Bool
				kick.Store(true)
				r := run(t, messages, func(_ int, s *fakeSession) error {
					if kick.Load() {
						time.AfterFunc(time.Second, func() { s.puback(len(s.published())); s.lose(errCut) })
					} else {
						s.auto = true
					}
					return nil
				})
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				code, summary := r.conditionOf(t)
				if code != uplink.ConditionKicked || !strings.Contains(summary, "same identity") || !strings.Contains(summary, "cut") {
					t.Errorf("condition %q: %s", code, summary)
				}
				kick.Store(false)
				time.Sleep(4 * time.Minute)
				synctest.Wait()
				if got := r.conditions(); got != nil {
					t.Errorf("minutes after the last loss: conditions %v", got)
				}
				r.stop()
			})
		})
	}
}

// TestLossesFarApart are no pattern, even if the sessions in between end by being
// renewed.
func TestLossesFarApart(t *testing.T) {
	for name, confirmed := range map[string]bool{"at work": true, "with nothing confirmed": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, 0, func(n int, s *fakeSession) error {
					if n%2 == 1 { // a long one, and a short one after it
						time.AfterFunc(5*time.Hour, func() { close(s.renew) })
					} else if confirmed {
						time.AfterFunc(time.Second, func() { s.lose(errCut) })
					} else {
						s.lose(errCut)
					}
					return nil
				})
				for range 2 * 24 * 720 {
					time.Sleep(5 * time.Second)
					synctest.Wait()
					if code, summary := r.conditionOf(t); code != "" {
						t.Fatalf("condition %s: %s", code, summary)
					}
				}
				r.stop()
			})
		})
	}
}

// TestQuietLine: a gateway with nothing to say, whose line is cut now and then, is
// back within a second each time.
func TestQuietLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 100, func(_ int, s *fakeSession) error {
			s.auto = true
			time.AfterFunc(10*time.Minute, func() { s.lose(errCut) })
			return nil
		})
		for range 3600 {
			time.Sleep(time.Second)
			if got := r.conditions(); got != nil {
				t.Fatalf("conditions %v", got)
			}
		}
		r.stop()
	})
}

// TestThrottledThenOutOfQuota: a hub says neither.
func TestThrottledThenOutOfQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Bool
		r := run(t, 10, func(_ int, s *fakeSession) error {
			if s.auto = open.Load(); !s.auto {
				time.AfterFunc(time.Second, func() { s.lose(errCut) })
			}
			return nil
		})
		time.Sleep(time.Minute)
		if code, _ := r.conditionOf(t); code != uplink.ConditionThrottled {
			t.Errorf("after a minute: %s", code)
		}
		time.Sleep(20 * time.Minute)
		if code, summary := r.conditionOf(t); code != uplink.ConditionQuota || !strings.Contains(summary, "0:00 UTC") {
			t.Errorf("after 20 minutes: %s %s", code, summary)
		}
		if n := r.hub.count(); n > 60 {
			t.Errorf("%d logins in 20 minutes", n)
		}
		open.Store(true)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := r.conditions(); got != nil {
			t.Errorf("a PUBACK has come: conditions %v", got)
		}
		r.stop()
	})
}

// TestThrottledWithNothingToSend: without a message there is no PUBACK either.
func TestThrottledWithNothingToSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Bool
		r := run(t, 0, func(_ int, s *fakeSession) error {
			if !open.Load() {
				s.lose(errCut)
			}
			return nil
		})
		time.Sleep(time.Minute)
		if code, _ := r.conditionOf(t); code != uplink.ConditionThrottled {
			t.Errorf("condition %q", code)
		}
		open.Store(true)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := r.conditions(); got != nil {
			t.Errorf("minutes later: conditions %v", got)
		}
		r.stop()
	})
}

// TestConfirmationsThatDoNotCome: traffic shaping looks like this.
func TestConfirmationsThatDoNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, 10, nil)
		time.Sleep(2 * time.Minute)
		if code, _ := r.conditionOf(t); code != uplink.ConditionThrottled {
			t.Errorf("condition %q", code)
		}
		r.stop()
	})
}
