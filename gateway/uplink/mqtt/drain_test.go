package mqtt_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

const drainWindow = 100

var drainBody = bytes.Repeat([]byte("x"), 300)

// bare is an upstream without anything around the body.
type bare struct {
	address   string
	webSocket string
	settings  *tls.Config
	meter     *uplink.Meter
}

func (u *bare) Name() string              { return "bare" }
func (u *bare) Window() int               { return drainWindow }
func (u *bare) CountWith(m *uplink.Meter) { u.meter = m }

func (u *bare) Connect(ctx context.Context) (uplink.Session, error) {
	c, err := mqtt.Dial(ctx, mqtt.Options{
		Address: u.address, WebSocket: u.webSocket, ClientID: "bench", TLS: u.settings, Meter: u.meter,
	})
	if err != nil {
		return nil, err
	}
	return bareSession{c}, nil
}

type bareSession struct{ *mqtt.Conn }

func (s bareSession) Publish(_ context.Context, m gateway.Message) (uplink.Receipt, error) {
	return s.Send(uplink.ForTelemetry, "bench", m.Body)
}

// BenchmarkDrain compares the Sender with paho alone: same window, same broker,
// turn by turn. The budget for the metric of-paho is 0.9.
func BenchmarkDrain(b *testing.B) {
	const turn = 50_000 // messages
	addr, _ := startBroker(b, &hook{}, nil)
	var ours, theirs time.Duration
	for left := b.N; left > 0; left -= turn {
		n := min(left, turn)
		theirs += drainPaho(b, addr, n)
		ours += drainSender(b, addr, n)
	}
	b.ReportMetric(0, "ns/op") // of both together, so of no use
	b.ReportMetric(float64(b.N)/ours.Seconds(), "msgs/s")
	b.ReportMetric(float64(b.N)/theirs.Seconds(), "paho-msgs/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-paho")
}

func drainSender(b *testing.B, addr string, n int) time.Duration {
	store := &uplinktest.Store{}
	for range n {
		store.Add(drainBody)
	}
	sender, err := uplink.New(uplink.Options{Store: store, Upstream: &bare{address: addr}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	start := time.Now()
	go func() { ended <- sender.Run(ctx) }()
	if err := store.WaitLeft(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return took
}

func drainPaho(b *testing.B, addr string, n int) time.Duration {
	start := time.Now()
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("bench").SetCleanSession(false))
	if t := client.Connect(); t.Wait() && t.Error() != nil {
		b.Fatal(t.Error())
	}
	defer client.Disconnect(100)
	tokens := make(chan paho.Token, drainWindow-1)
	go func() {
		defer close(tokens)
		for range n {
			tokens <- client.Publish("bench", 1, false, drainBody)
		}
	}()
	for t := range tokens {
		if t.Wait() && t.Error() != nil {
			b.Fatal(t.Error())
		}
	}
	return time.Since(start)
}
