package command_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/broker"
	"github.com/fieldpost/fieldpost/storeforward"
)

// openDoor lets everybody do everything at the broker.
type openDoor struct{ mochi.HookBase }

func (openDoor) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (openDoor) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (openDoor) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

// switched is an actuator that says when it was told.
type switched chan time.Time

func (switched) Actions() []gateway.Action { return []gateway.Action{{Name: "pulse"}} }

func (s switched) Do(context.Context, gateway.Command) (map[string]any, error) {
	s <- time.Now()
	return nil, nil
}

// subject is who carries commands out, and where they are sent to.
type subject struct {
	name, topic string
	acts        chan time.Time
	took        []time.Duration
}

// TestThroughABroker: what the benchmark below measures comes through at all.
func TestThroughABroker(t *testing.T) {
	url := startLatencyBroker(t)
	acts := startLatencyGateway(t, url)
	connect(t, url, "publisher").Publish("fieldpost/gw/commands", 1, false, `{"id":"c1","device":"pump","action":"pulse"}`)
	<-acts
}

// BenchmarkLatency measures the time from the publication of a command to the moment
// at which the actuator is told, one command at a time, by turns: of the gateway, of a
// program that only subscribes, and of one that syncs two lines to the same disk before
// it acts, which is what it takes to have a command on record as received and as begun.
func BenchmarkLatency(b *testing.B) {
	url := startLatencyBroker(b)
	bare := &subject{name: "bare", topic: "bare", acts: make(chan time.Time, 1)}
	subscribe(b, url, bare.topic, func() { bare.acts <- time.Now() })
	synced := &subject{name: "synced", topic: "synced", acts: make(chan time.Time, 1)}
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	subscribe(b, url, synced.topic, func() {
		for range 2 {
			_, err1 := file.Write(make([]byte, 300))
			if err := errors.Join(err1, unix.Fdatasync(int(file.Fd()))); err != nil {
				b.Error(err)
			}
		}
		synced.acts <- time.Now()
	})
	ours := &subject{name: "gateway", topic: "fieldpost/gw/commands", acts: startLatencyGateway(b, url)}
	publisher := connect(b, url, "publisher")
	subjects := []*subject{bare, synced, ours}
	for n := 0; b.Loop(); n++ {
		for _, s := range subjects {
			body := fmt.Sprintf(`{"id":"c%d","device":"pump","action":"pulse"}`, n)
			began := time.Now()
			publisher.Publish(s.topic, 1, false, body)
			s.took = append(s.took, (<-s.acts).Sub(began))
		}
	}
	for _, s := range subjects {
		slices.Sort(s.took)
		b.ReportMetric(s.quantile(0.5), s.name+"-p50-µs")
		b.ReportMetric(s.quantile(0.99), s.name+"-p99-µs")
	}
	for _, q := range []struct {
		p    float64
		name string
	}{{0.5, "p50"}, {0.99, "p99"}} {
		b.ReportMetric(ours.quantile(q.p)/bare.quantile(q.p), q.name+"-of-bare")
		b.ReportMetric(ours.quantile(q.p)/synced.quantile(q.p), q.name+"-of-synced")
	}
}

// quantile is in microseconds; took is sorted.
func (s *subject) quantile(p float64) float64 {
	return float64(s.took[int(p*float64(len(s.took)-1))].Nanoseconds()) / 1000
}

func startLatencyBroker(b testing.TB) (url string) {
	b.Helper()
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0"})
	if err := errors.Join(server.AddHook(new(openDoor), nil), server.AddListener(l), server.Serve()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	return l.Address()
}

func connect(b testing.TB, url, id string) paho.Client {
	b.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + url).SetClientID(id))
	if token := c.Connect(); token.Wait() && token.Error() != nil {
		b.Fatal(token.Error())
	}
	b.Cleanup(func() { c.Disconnect(100) })
	return c
}

func subscribe(b *testing.B, url, topic string, act func()) {
	b.Helper()
	c := connect(b, url, topic)
	if token := c.Subscribe(topic, 1, func(paho.Client, paho.Message) { act() }); token.Wait() && token.Error() != nil {
		b.Fatal(token.Error())
	}
}

// startLatencyGateway is all of the gateway that a command passes.
func startLatencyGateway(b testing.TB, url string) chan time.Time {
	b.Helper()
	o := storeforward.Defaults(filepath.Join(b.TempDir(), "queue"))
	o.MinFree, o.Clock = storeforward.MinMinFree, clock.NewSystem(time.Time{})
	q, err := storeforward.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	pump := make(switched, 1)
	d, err := command.NewDispatcher(command.Options{
		Journal: q.Journal(), Queue: q, Clock: o.Clock, Devices: command.Devices{Actuators: map[gateway.DeviceID]gateway.Actuator{"pump": pump}},
	})
	if err != nil {
		b.Fatal(err)
	}
	up, err := broker.New(broker.Config{
		URL: "mqtt://" + url, Topic: "fieldpost/{gateway}/{lane}", CommandTopic: "fieldpost/{gateway}/commands",
		ResponseTopic: "fieldpost/{gateway}/responses/{id}", StatusTopic: "fieldpost/{gateway}/status", KeepAlive: time.Minute, InFlight: 64, MaxMessageBytes: 1 << 18,
	}, broker.Parts{GatewayID: "gw", Clock: o.Clock, Inbox: command.NewInbox(d)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	var session uplink.Session
	if session, err = up.Connect(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		err := session.Close(ctx)
		cancel()
		if err := errors.Join(err, <-ended, q.Close()); err != nil {
			b.Error(err)
		}
	})
	return pump
}
