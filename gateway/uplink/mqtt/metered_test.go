package mqtt_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"

	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

// wire passes connections on to a server and counts what passes.
type wire struct {
	address string
	out, in atomic.Uint64 // seen from the client
}

func startWire(t *testing.T, server string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: l.Addr().String()}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			passing.Go(func() { pass(upstream, client, &w.out) })
			passing.Go(func() { pass(client, upstream, &w.in) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); passing.Wait() })
	return w
}

// pass copies until one side ends, and counts before it hands on.
func pass(to, from net.Conn, n *atomic.Uint64) {
	defer to.Close()
	_, _ = io.Copy(to, io.TeeReader(from, counter{n}))
}

type counter struct{ n *atomic.Uint64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(uint64(len(p)))
	return len(p), nil
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened:", what)
		}
	}
}

// TestTheMeterSeesTheSocket: each byte that passes is counted once, for what it
// is for.
func TestTheMeterSeesTheSocket(t *testing.T) {
	secure, ca := certificate(t, time.Now().Add(time.Hour))
	for name, tc := range map[string]struct{ tls, webSocket, proxy bool }{
		"plain": {}, "TLS": {tls: true}, "WebSocket": {webSocket: true},
		"WebSocket on TLS through a proxy": {tls: true, webSocket: true, proxy: true},
	} {
		t.Run(name, func(t *testing.T) {
			var server, settings *tls.Config
			if tc.tls {
				server, settings = secure, newTLS(t, "localhost", ca)
			}
			var o mqtt.Options
			var broker *mochi.Server
			if tc.webSocket {
				o.Address, broker = startBroker(t, &hook{}, nil)
				o = inWebSocket(t, o.Address, server)
			} else {
				o.Address, broker = startBroker(t, &hook{}, server)
			}
			var w *wire
			if tc.proxy {
				w = startWire(t, startProxy(t).URL().Host)
				o.Proxy = proxyAt(t, "http://user:p%40ss@"+w.address)
			} else {
				w = startWire(t, o.Address)
				o.Address = w.address
			}
			m, err := uplink.NewMeter(uplink.MeterOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan struct{}, 1)
			o.TLS, o.Meter, o.KeepAlive = settings, m, 2*time.Second
			o.OnMessage = func(_ context.Context, in mqtt.Inbound) { in.Ack(); got <- struct{}{} }
			c := dial(t, o)
			if err := c.Subscribe(t.Context(), "cmd"); err != nil {
				t.Fatal(err)
			}
			telemetry, records := 0, 0
			var last uplink.Receipt
			for i := range 300 {
				purpose, size := uplink.ForTelemetry, &telemetry
				if i%3 == 0 {
					purpose, size = uplink.ForRecords, &records
				}
				if last, err = c.Send(purpose, "t", make([]byte, 10*i)); err != nil {
					t.Fatal(err)
				}
				*size += last.Size()
				if i%100 == 0 { // and nobody confirms it
					if err := c.Tell(uplink.ForCommands, "a", make([]byte, 15)); err != nil {
						t.Fatal(err)
					}
				}
			}
			await(t, last.Done())
			if err := broker.Publish("cmd", make([]byte, 500), false, 1); err != nil {
				t.Fatal(err)
			}
			await(t, got)
			eventually(t, "a ping and its answer", func() bool { k := m.Bytes().KeepAlive; return k.In >= 2 && k.Out >= 2 })
			eventually(t, "the meter says what the wire has seen", func() bool {
				return m.Bytes().Total() == uplink.Traffic{In: w.in.Load(), Out: w.out.Load()}
			})
			u := m.Bytes()
			if want := (uplink.Traffic{In: 4 * 200, Out: uint64(telemetry)}); u.Telemetry != want {
				t.Errorf("telemetry %+v, want %+v", u.Telemetry, want)
			}
			if want := (uplink.Traffic{In: 4 * 100, Out: uint64(records)}); u.Records != want {
				t.Errorf("records %+v, want %+v", u.Records, want)
			}
			if want := (uplink.Traffic{In: 3 + 5 + 2 + 500, Out: 4 + 3*(2+3+15)}); u.Commands != want {
				t.Errorf("commands %+v, want %+v", u.Commands, want)
			}
			// CONNECT and SUBSCRIBE; with TLS a handshake and 22 bytes a packet; with a
			// WebSocket its request and 6 bytes or more a packet.
			least, most := uint64(0), uint64(60)
			if tc.webSocket {
				least, most = 300*6, 300*8+400
			}
			if tc.tls {
				least, most = least+300*22, 1<<20
			}
			if out := u.Connection.Out; out < least || out > most {
				t.Errorf("connection %+v", u.Connection)
			}
		})
	}
}

// TestRateOnARealSocket: the wire never carries more than the rate, from the
// first byte on, handshake and all. A slow machine only makes it less.
func TestRateOnARealSocket(t *testing.T) {
	secure, ca := certificate(t, time.Now().Add(time.Hour))
	settings := newTLS(t, "localhost", ca)
	t.Run("TLS", func(t *testing.T) {
		addr, _ := startBroker(t, &hook{}, secure)
		w := startWire(t, addr)
		testRate(t, w, &bare{address: w.address, settings: settings})
	})
	t.Run("WebSocket", func(t *testing.T) {
		addr, _ := startBroker(t, &hook{}, nil)
		o := inWebSocket(t, addr, secure)
		w := startWire(t, o.Address)
		testRate(t, w, &bare{address: w.address, webSocket: o.WebSocket, settings: settings})
	})
}

func testRate(t *testing.T, w *wire, upstream *bare) {
	const rate, messages = 400_000, 3000
	store := &uplinktest.Store{}
	for range messages {
		store.Add(drainBody)
	}
	sender, err := uplink.New(uplink.Options{Store: store, MaxRate: rate, Upstream: upstream})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sender.Run(ctx) }()
	for left := messages - 300; left >= 0; left -= 300 {
		if err := store.WaitLeft(ctx, left); err != nil {
			t.Fatal(err)
		}
		out, took := float64(w.out.Load()), time.Since(start).Seconds()
		if most := rate * (took*1.1 + 0.5); out > most { // half a second's burst
			t.Errorf("%.0f bytes after %.3f s, at most %.0f are allowed", out, took, most)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if b := sender.Stats().Bytes; b.Telemetry.Out < messages*uint64(len(drainBody)) {
		t.Errorf("counted %+v", b)
	}
}
