package iothub

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

func TestSuite(t *testing.T) {
	uplinktest.Run(t, func(t *testing.T) uplinktest.Broker { return startHub(t) })
}

func TestSubscriptionsAreChecked(t *testing.T) { uplinktest.RunSubscriptions(t, startHub(t)) }

func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 s")
	}
	return v
}

func (h *hub) send(bag, body string, retain bool) {
	h.t.Helper()
	if err := h.server.Publish("devices/d1/messages/devicebound/"+bag, []byte(body), retain, 1); err != nil {
		h.t.Fatal(err)
	}
}

func TestEventCarriesItsProperties(t *testing.T) {
	h := startHub(t)
	s := h.connect()
	r, err := s.Publish(t.Context(), gateway.Message{
		ID: gateway.MessageID{Store: "ab", Lane: "results", Seq: 7}, Kind: gateway.KindResult,
		Created:       time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC),
		CorrelationID: "c 1/2+3#4&5=6%7ü", ContentType: "application/json", Body: []byte(`{"a":1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, r.Done())
	e := h.events[0]
	for name, want := range map[string]string{
		"$.mid": "ab-results-7", "$.cid": "c 1/2+3#4&5=6%7ü", "$.ct": "application/json", "$.ce": "utf-8",
		"iothub-creation-time-utc": "2026-03-01T12:00:00.005Z",
		"store":                    "ab", "lane": "results", "seq": "7", "kind": "result",
	} {
		if e.bag[name] != want {
			t.Errorf("%s = %q, want %q", name, e.bag[name], want)
		}
	}
	if len(e.bag) != 9 || e.body != `{"a":1}` {
		t.Errorf("arrived: %+v", e)
	}
}

func TestCommandIsAcknowledgedOnceJournalled(t *testing.T) {
	h := startHub(t)
	h.inbox.fail(gateway.ErrFull)
	h.connect()
	h.send("%24.exp=2030-07-25T14%3A14%3A25.1720000Z&%24.mid=m%201&iothub-ack=none", `{"device":"pump","action":"set","args":{"on":true}}`, false)
	cmd := await(t, h.inbox.got) // after one ErrFull
	await(t, h.acked)
	want := time.Date(2030, 7, 25, 14, 14, 25, 172e6, time.UTC)
	if cmd.ID != "m 1" || cmd.Device != "pump" || cmd.Action != "set" || cmd.Args["on"] != true ||
		!cmd.Expires.Equal(want) || cmd.Origin != gateway.OriginC2D || cmd.Received.IsZero() {
		t.Errorf("got %+v", cmd)
	}
}

// A message that is no command would come again for ever: it is refused, and
// acknowledged.
func TestPoisonIsRefusedAndAcknowledged(t *testing.T) {
	h := startHub(t)
	h.connect()
	h.send("%24.mid=m1", `{"device":"pump"}`, false)
	if r := await(t, h.inbox.refused); !strings.HasPrefix(r, "m1 c2d ") {
		t.Errorf("refused: %s", r)
	}
	await(t, h.acked)
	h.send("%24.mid=m2&%zz", `{"device":"pump","action":"set"}`, false)
	if r := await(t, h.inbox.refused); !strings.HasPrefix(r, "sha256-") {
		t.Errorf("refused: %s", r)
	}
	await(t, h.acked)
}

func TestRetainedCommandIsIgnored(t *testing.T) {
	h := startHub(t)
	h.send("%24.mid=m1", `{"device":"pump","action":"set"}`, true)
	h.connect()
	await(t, h.acked)
	select {
	case cmd := <-h.inbox.got:
		t.Errorf("a retained command was taken in: %+v", cmd)
	default:
	}
}

func TestUnacknowledgedCommandComesAgain(t *testing.T) {
	h := startHub(t)
	s := h.connect()
	h.inbox.fail(gateway.ErrFull)
	h.send("%24.mid=m1", `{"device":"pump","action":"set"}`, false)
	await(t, h.inbox.failed)
	h.close(s)
	h.connect()
	if cmd := await(t, h.inbox.got); cmd.ID != "m1" {
		t.Errorf("got %+v", cmd)
	}
	await(t, h.acked)
}

func TestUntrustedClockDoesNotConnect(t *testing.T) {
	h := startHub(t)
	h.clock.untrusted = true
	if _, err := h.upstream().Connect(t.Context()); !errors.Is(err, uplink.ErrNotReady) {
		t.Errorf("error %v, want ErrNotReady", err)
	}
	if h.logins != 0 {
		t.Error("tried to log in without the time of day")
	}
}

func TestRefusalSaysWhatToCheck(t *testing.T) {
	h := startHub(t)
	h.clock.ahead = -2 * time.Hour // the token has expired before it is shown
	_, err := h.upstream().Connect(t.Context())
	if !errors.Is(err, uplink.ErrRefused) || !strings.Contains(err.Error(), "the key, and that the clock") ||
		!strings.Contains(err.Error(), "clock") || strings.Contains(err.Error(), testKey) {
		t.Errorf("error %v", err)
	}
}

// stepped is a clock that can be corrected.
type stepped struct{ ahead atomic.Int64 }

func (c *stepped) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())).UTC() }
func (c *stepped) Trusted() bool  { return true }

// TestRenewal: the Sender renews the session before the token ends, or when the
// clock was corrected, and nothing is repeated.
func TestRenewal(t *testing.T) {
	for name, tc := range map[string]struct{ life, step time.Duration }{
		"most of its life is over": {life: 1500 * time.Millisecond}, // shorter than a config may say
		"clock set forward":        {life: time.Minute, step: time.Hour},
		"clock set back":           {life: time.Minute, step: -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHub(t)
			clock := &stepped{}
			clock.ahead.Store(int64(max(-tc.step, 0))) // the hub knows the true time
			u, err := New(h.config, Parts{Clock: clock, Inbox: h.inbox})
			if err != nil {
				t.Fatal(err)
			}
			u.config.TokenTTL = tc.life
			store := &uplinktest.Store{}
			sender, err := uplink.New(uplink.Options{Store: store, Upstream: u, MinBackoff: 500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- sender.Run(ctx) }()
			sent := 0
			for end := time.Now().Add(60 * time.Second); sender.Stats().Reconnects < 1 && time.Now().Before(end); sent++ {
				store.Add([]byte(`{}`))
				time.Sleep(2 * time.Millisecond)
				if sent == 300 {
					clock.ahead.Add(int64(tc.step))
				}
			}
			if err := store.WaitLeft(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			stop()
			if err := await(t, ended); err != nil {
				t.Error(err)
			}
			if s := sender.Stats(); s.Reconnects < 1 || s.Resent != 0 || s.LastError != "" {
				t.Errorf("stats %+v", s)
			}
			if n := len(h.Arrived()); n != sent {
				t.Errorf("%d arrived of %d", n, sent)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.expires) < 2 || h.expires[0].Equal(h.expires[1]) {
				t.Errorf("the logins showed tokens until %v, want one of its own for the second", h.expires)
			}
		})
	}
}
