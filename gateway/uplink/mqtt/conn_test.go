package mqtt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

func dial(t *testing.T, o mqtt.Options) *mqtt.Conn {
	t.Helper()
	o.ClientID = "c1"
	c, err := mqtt.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(t, c) })
	return c
}

func closeConn(t *testing.T, c *mqtt.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 s")
	}
	return v
}

func TestPublishIsConfirmedInOrder(t *testing.T) {
	got := make(chan string, 3)
	addr, _ := startBroker(t, &hook{published: func(_ *mochi.Client, pk packets.Packet) error {
		got <- string(pk.Payload)
		return nil
	}}, nil)
	c := dial(t, mqtt.Options{Address: addr})
	var receipts []uplink.Receipt
	for _, p := range []string{"a", "b", "c"} {
		r, err := c.Publish("t", []byte(p), false)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	for i, want := range []string{"a", "b", "c"} {
		if p := await(t, got); p != want {
			t.Errorf("broker got %s, want %s", p, want)
		}
		await(t, receipts[i].Done())
		if err := receipts[i].Err(); err != nil {
			t.Error(err)
		}
	}
}

func TestPublishRefusesBadTopics(t *testing.T) {
	addr, _ := startBroker(t, &hook{}, nil)
	c := dial(t, mqtt.Options{Address: addr})
	for _, topic := range []string{"", "a/#", "a/+", "a\x00", strings.Repeat("a", 65536)} {
		if _, err := c.Publish(topic, nil, false); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("topic %.10q: error %v, want ErrInvalid", topic, err)
		}
	}
}

func TestLoginRefused(t *testing.T) {
	var attempts atomic.Int32
	addr, _ := startBroker(t, &hook{login: func(*mochi.Client, packets.Packet) bool { attempts.Add(1); return false }}, nil)
	_, err := mqtt.Dial(t.Context(), mqtt.Options{Address: addr, ClientID: "c1"})
	if !errors.Is(err, uplink.ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

// rawServer answers each connection with the given bytes and then only reads.
func rawServer(t *testing.T, answer []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 512))
			_, _ = c.Write(answer)
			t.Cleanup(func() { _ = c.Close() })
			if answer == nil {
				go func() { _, _ = io.Copy(io.Discard, c) }()
			}
		}
	}()
	return l.Addr().String()
}

func connack(code byte) []byte { return []byte{0x20, 2, 0, code} }

func TestConnackCodes(t *testing.T) {
	for code, want := range map[byte]error{
		1: uplink.ErrRefused, 2: uplink.ErrRefused, 3: gateway.ErrUnavailable, 4: uplink.ErrRefused, 5: uplink.ErrRefused,
	} {
		_, err := mqtt.Dial(t.Context(), mqtt.Options{Address: rawServer(t, connack(code)), ClientID: "c1"})
		if !errors.Is(err, want) {
			t.Errorf("code %d: error %v, want %v", code, err, want)
		}
	}
}

func TestDialGivesUp(t *testing.T) {
	addr := rawServer(t, nil)
	_, err := mqtt.Dial(t.Context(), mqtt.Options{Address: addr, ConnectTimeout: 50 * time.Millisecond})
	if !errors.Is(err, gateway.ErrTimeout) {
		t.Errorf("mute server: error %v, want ErrTimeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = mqtt.Dial(ctx, mqtt.Options{Address: addr}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v, want context.Canceled", err)
	}
}

func TestSubscriptionRefused(t *testing.T) {
	addr, _ := startBroker(t, &hook{acl: func(topic string, _ bool) bool { return topic != "secret/#" }}, nil)
	c := dial(t, mqtt.Options{Address: addr})
	if err := c.Subscribe(t.Context(), "open/#"); err != nil {
		t.Error(err)
	}
	if err := c.Subscribe(t.Context(), "secret/#"); !errors.Is(err, gateway.ErrDenied) {
		t.Errorf("error %v, want ErrDenied", err)
	}
}

// A handler that is slow must not keep PUBACKs from coming, and a message is
// acknowledged when the handler says so, not before.
func TestInboundWaitsForItsHandler(t *testing.T) {
	acked := make(chan struct{}, 1)
	addr, server := startBroker(t, &hook{acked: func() { acked <- struct{}{} }}, nil)
	entered, leave := make(chan mqtt.Inbound), make(chan struct{})
	c := dial(t, mqtt.Options{Address: addr, OnMessage: func(_ context.Context, m mqtt.Inbound) {
		entered <- m
		<-leave
		m.Ack()
	}})
	if err := c.Subscribe(t.Context(), "cmd"); err != nil {
		t.Fatal(err)
	}
	if err := server.Publish("cmd", []byte("x"), false, 1); err != nil {
		t.Fatal(err)
	}
	if m := await(t, entered); string(m.Payload) != "x" || m.Topic != "cmd" {
		t.Errorf("got %s on %s", m.Payload, m.Topic)
	}
	r, err := c.Publish("t", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	await(t, r.Done())
	select {
	case <-acked:
		t.Error("acknowledged before the handler was done")
	default:
	}
	close(leave)
	await(t, acked)
}

// A persistent session delivers before anything was subscribed; the handler
// must be there already. What was not acknowledged comes again.
func TestRedeliveryRightAfterConnect(t *testing.T) {
	addr, server := startBroker(t, &hook{}, nil)
	first := make(chan mqtt.Inbound, 1)
	c := dial(t, mqtt.Options{Address: addr, OnMessage: func(_ context.Context, m mqtt.Inbound) { first <- m }})
	if err := c.Subscribe(t.Context(), "cmd"); err != nil {
		t.Fatal(err)
	}
	if err := server.Publish("cmd", []byte("x"), false, 1); err != nil {
		t.Fatal(err)
	}
	await(t, first)
	closeConn(t, c)
	again := make(chan mqtt.Inbound, 1)
	dial(t, mqtt.Options{Address: addr, OnMessage: func(_ context.Context, m mqtt.Inbound) { again <- m; m.Ack() }})
	if m := await(t, again); !m.Duplicate || string(m.Payload) != "x" {
		t.Errorf("got %+v, want x once more", m)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	clients := make(chan *mochi.Client, 1)
	addr, _ := startBroker(t, &hook{published: func(cl *mochi.Client, _ packets.Packet) error { clients <- cl; return nil }}, nil)
	for _, cut := range []bool{false, true} {
		c := dial(t, mqtt.Options{Address: addr, OnMessage: func(context.Context, mqtt.Inbound) {}})
		if _, err := c.Publish("t", nil, false); err != nil {
			t.Fatal(err)
		}
		client := await(t, clients)
		if cut {
			client.Stop(errors.New("cut"))
			await(t, c.Done())
		}
		closeConn(t, c)
		expectNoClientGoroutines(t)
	}
	if _, err := mqtt.Dial(t.Context(), mqtt.Options{Address: rawServer(t, connack(5))}); err == nil {
		t.Fatal("logged in")
	}
	expectNoClientGoroutines(t)
}

// expectNoClientGoroutines gives what was told to end a moment to do so.
func expectNoClientGoroutines(t *testing.T) {
	t.Helper()
	buffer := make([]byte, 1<<20)
	var left []string
	for range 200 {
		left = nil
		stacks := strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n")
		for _, s := range stacks {
			if strings.Contains(s, "paho") || strings.Contains(s, "mqtt.(*Conn)") {
				left = append(left, s)
			}
		}
		if left == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines left:\n%s", len(left), strings.Join(left, "\n\n"))
}
