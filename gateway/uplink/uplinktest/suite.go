// Package uplinktest checks that an upstream keeps what the Sender builds on.
// Each upstream runs the suite in its own tests, against a broker that can be
// made to fail.
package uplinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// Broker is a server under the control of the test. Its upstream has a window
// of 8.
type Broker interface {
	Upstream() uplink.Upstream
	// Arrived lists the ids of all messages that came in, repeats included.
	Arrived() []string
	// WithholdAfter sends PUBACKs for n more messages and then for none.
	WithholdAfter(n int)
	// SendPubacks ends that.
	SendPubacks()
	// Cut closes the connection of each client without a word.
	Cut()
	// Refuse decides whether logins are refused.
	Refuse(bool)
	// TooLarge is the size of a body that cannot be sent.
	TooLarge() int
}

// Denier is a Broker that can refuse what a client subscribes to, and keeps no
// subscription then. It is for upstreams that take commands.
type Denier interface {
	Broker
	Deny(bool)
}

const (
	window  = 8
	patient = time.Minute
)

// Run checks an upstream; open gives a new broker that ends with the test.
func Run(t *testing.T, open func(t *testing.T) Broker) {
	for name, test := range map[string]func(*testing.T, Broker){
		"all arrive in order":      testOrder,
		"PUBACK withheld":          testPubackWithheld,
		"link lost mid-window":     testLinkLost,
		"login refused":            testLoginRefused,
		"message too large":        testTooLarge,
		"session ends with a loss": testSessionEnd,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// RunSubscriptions checks that a session without its subscriptions is none.
func RunSubscriptions(t *testing.T, b Denier) {
	store, sender := start(t, b, 10)
	drained(t, store)
	b.Deny(true)
	b.Cut()
	eventually(t, "a refused subscription", func() bool { return strings.Contains(sender.Stats().LastError, "subscribe") })
	store.Add([]byte(`{}`))
	if sender.Stats().Connected {
		t.Error("connected, although commands would not arrive")
	}
	checkOrder(t, b.Arrived(), 10, window)
	b.Deny(false)
	drained(t, store)
	checkOrder(t, b.Arrived(), 11, window)
}

// start drains a store of n messages until the test ends.
func start(t *testing.T, b Broker, n int) (*Store, *uplink.Sender) {
	t.Helper()
	store := &Store{}
	for i := range n {
		store.Add(fmt.Appendf(nil, `{"n":%d}`, i+1))
	}
	sender, err := uplink.New(uplink.Options{
		Store: store, Upstream: b.Upstream(),
		AckTimeout: 300 * time.Millisecond, MinBackoff: 5 * time.Millisecond, MaxBackoff: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- sender.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return store, sender
}

func drained(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := s.WaitLeft(ctx, 0); err != nil {
		t.Fatal("the store was not drained:", err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened:", what)
		}
	}
}

// checkOrder fails unless the messages 1 to n all arrived, each for the first
// time in order, with at most the given number of repeats.
func checkOrder(t *testing.T, arrived []string, n, repeats int) {
	t.Helper()
	seen := map[string]bool{}
	for _, id := range arrived {
		want := gateway.MessageID{Store: "mem", Lane: gateway.LaneTelemetry, Seq: uint64(len(seen) + 1)}.String()
		if !seen[id] && id != want {
			t.Fatalf("%s came for the first time where %s was due", id, want)
		}
		seen[id] = true
	}
	if len(seen) != n {
		t.Errorf("%d messages arrived, want %d", len(seen), n)
	}
	if got := len(arrived) - len(seen); got > repeats {
		t.Errorf("%d repeats, want at most %d", got, repeats)
	}
}

func testOrder(t *testing.T, b Broker) {
	store, _ := start(t, b, 100)
	drained(t, store)
	checkOrder(t, b.Arrived(), 100, 0)
}

func testPubackWithheld(t *testing.T, b Broker) {
	b.WithholdAfter(5)
	store, sender := start(t, b, 40)
	eventually(t, "two reconnects", func() bool { return sender.Stats().Reconnects >= 2 })
	checkOrder(t, b.Arrived(), 5+window, len(b.Arrived()))
	b.SendPubacks()
	drained(t, store)
	// The Sender counts what the store has let go.
	eventually(t, "40 counted as acknowledged", func() bool { return sender.Stats().Acknowledged >= 40 })
	s := sender.Stats()
	checkOrder(t, b.Arrived(), 40, int(s.Resent))
	if s.Acknowledged != 40 {
		t.Errorf("%d acknowledged, want 40", s.Acknowledged)
	}
}

func testLinkLost(t *testing.T, b Broker) {
	b.WithholdAfter(20)
	store, _ := start(t, b, 60)
	eventually(t, "a full window in flight", func() bool { return len(b.Arrived()) >= 20+window })
	b.SendPubacks()
	b.Cut()
	drained(t, store)
	checkOrder(t, b.Arrived(), 60, window)
}

func testLoginRefused(t *testing.T, b Broker) {
	b.Refuse(true)
	if _, err := b.Upstream().Connect(t.Context()); !errors.Is(err, uplink.ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
	b.Refuse(false)
	s, err := b.Upstream().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closeSession(t, s)
}

func testTooLarge(t *testing.T, b Broker) {
	store, sender := start(t, b, 1)
	large := store.Add(append(append([]byte{'"'}, bytes.Repeat([]byte("x"), b.TooLarge())...), '"'))
	last := store.Add([]byte(`{}`))
	drained(t, store)
	if got := store.Rejected(); len(got) != 1 || got[0] != large {
		t.Errorf("rejected %v, want %v", got, large)
	}
	if a := b.Arrived(); len(a) != 2 || a[1] != last.String() {
		t.Errorf("arrived %v, want the first and the last", a)
	}
	if n := sender.Stats().Reconnects; n != 0 {
		t.Errorf("%d reconnects, want none", n)
	}
}

func testSessionEnd(t *testing.T, b Broker) {
	s, err := b.Upstream().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.Cut()
	select {
	case <-s.Done():
	case <-time.After(patient):
		t.Fatal("the loss was not noticed")
	}
	if s.Err() == nil {
		t.Error("no reason given")
	}
	m := gateway.Message{ID: gateway.MessageID{Store: "mem", Lane: "telemetry", Seq: 1}, Body: []byte("{}")}
	if _, err := s.Publish(t.Context(), m); err == nil || errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("Publish after the loss: error %v, want one that blames the session", err)
	}
	closeSession(t, s)
}

func closeSession(t *testing.T, s uplink.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error("Close:", err)
	}
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Close")
	}
}
