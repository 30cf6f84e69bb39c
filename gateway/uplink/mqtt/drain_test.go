package mqtt_test

import (
	"bytes"
	"context"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

const drainWindow = 100

var drainBody = bytes.Repeat([]byte("x"), 300)

// bare is an upstream without anything around the body.
type bare struct{ address string }

func (u bare) Name() string { return "bare" }
func (u bare) Window() int  { return drainWindow }

func (u bare) Connect(ctx context.Context) (uplink.Session, error) {
	c, err := mqtt.Dial(ctx, mqtt.Options{Address: u.address, ClientID: "bench"})
	if err != nil {
		return nil, err
	}
	return bareSession{c}, nil
}

type bareSession struct{ *mqtt.Conn }

func (s bareSession) Publish(_ context.Context, m gateway.Message) (uplink.Receipt, error) {
	return s.Conn.Publish("bench", m.Body, false)
}

// BenchmarkDrain compares the Sender with paho alone, same window and broker.
func BenchmarkDrain(b *testing.B) {
	b.Run("sender", func(b *testing.B) {
		addr, _ := startBroker(b, &hook{}, nil)
		store := &uplinktest.Store{}
		for range b.N {
			store.Add(drainBody)
		}
		sender, err := uplink.New(uplink.Options{Store: store, Upstream: bare{addr}})
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		ended := make(chan error)
		b.ResetTimer()
		go func() { ended <- sender.Run(ctx) }()
		if err := store.WaitLeft(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		rate(b)
		stop()
		<-ended
	})
	b.Run("paho", func(b *testing.B) {
		addr, _ := startBroker(b, &hook{}, nil)
		client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("bench").SetCleanSession(false))
		if t := client.Connect(); t.Wait() && t.Error() != nil {
			b.Fatal(t.Error())
		}
		defer client.Disconnect(100)
		tokens := make(chan paho.Token, drainWindow-1)
		b.ResetTimer()
		go func() {
			defer close(tokens)
			for range b.N {
				tokens <- client.Publish("bench", 1, false, drainBody)
			}
		}()
		for t := range tokens {
			t.Wait()
		}
		rate(b)
	})
}

func rate(b *testing.B) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}
