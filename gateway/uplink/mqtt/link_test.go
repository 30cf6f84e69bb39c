package mqtt_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

func TestLossEndsTheConnection(t *testing.T) {
	clients := make(chan *mochi.Client, 1)
	addr, _ := startBroker(t, &hook{published: func(cl *mochi.Client, _ packets.Packet) error {
		clients <- cl
		return packets.ErrRejectPacket // no PUBACK
	}}, nil)
	c := dial(t, mqtt.Options{Address: addr})
	r, err := c.Publish("t", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Err(); err != nil {
		t.Errorf("error %v while connected", err)
	}
	await(t, clients).Stop(errors.New("cut"))
	await(t, c.Done())
	if c.Err() == nil {
		t.Error("no reason given")
	}
	if _, err := c.Publish("t", nil, false); err == nil {
		t.Error("published on a dead connection")
	}
	select {
	case <-r.Done():
		if r.Err() == nil {
			t.Error("confirmed without a PUBACK")
		}
	default:
	}
}

// bothWays runs a test on TCP and in a WebSocket.
func bothWays(t *testing.T, test func(t *testing.T, way func(address string) mqtt.Options)) {
	t.Run("TCP", func(t *testing.T) {
		test(t, func(address string) mqtt.Options { return mqtt.Options{Address: address} })
	})
	t.Run("WebSocket", func(t *testing.T) {
		test(t, func(address string) mqtt.Options { return inWebSocket(t, address, nil) })
	})
}

// paho leaves a Publish hanging that is under way when it learns of a loss.
// Here the peer reads nothing, so that there is always one, and then hangs up.
func TestLossFreesAPublishUnderWay(t *testing.T) {
	bothWays(t, func(t *testing.T, way func(string) mqtt.Options) {
		for range 10 {
			addr, hangUp := stubbornServer(t)
			c := dial(t, way(addr))
			ended := flood(c)
			hangUp()
			await(t, ended)
			closeConn(t, c)
		}
	})
}

// flood publishes until that fails. It returns once a Publish is stuck, because
// the buffers of the system are full.
func flood(c *mqtt.Conn) (ended <-chan error) {
	var sent atomic.Int64
	end := make(chan error, 1)
	go func() {
		var err error
		payload := make([]byte, 256<<10)
		for ; err == nil; sent.Add(1) {
			_, err = c.Publish("t", payload, false)
		}
		end <- err
	}()
	for last := int64(-1); last != sent.Load(); time.Sleep(100 * time.Millisecond) {
		last = sent.Load()
	}
	return end
}

// stubbornServer accepts one login and reads nothing behind it.
func stubbornServer(t *testing.T) (address string, hangUp func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Read(make([]byte, 512))
			_, _ = c.Write(connack(0))
			accepted <- c
		}
	}()
	return l.Addr().String(), func() { _ = await(t, accepted).Close() }
}

// noticedWithin is far more than the one and a half keep-alives that a dead link
// lasts: what is tested is that it is noticed at all, on a machine that is busy.
const noticedWithin = 20 * time.Second

func TestDeadLinkIsNoticed(t *testing.T) {
	bothWays(t, func(t *testing.T, way func(string) mqtt.Options) {
		start := time.Now()
		o := way(rawServer(t, connack(0)))
		o.KeepAlive = time.Second
		c := dial(t, o)
		await(t, c.Done())
		if took := time.Since(start); took > noticedWithin {
			t.Errorf("noticed after %v", took)
		}
		if c.Err() == nil || !strings.Contains(c.Err().Error(), "nothing received for 1.5s") {
			t.Errorf("reason %v", c.Err())
		}
	})
}

// A link can die while the buffers of the system are full, so that a PINGREQ
// waits behind a message. It is noticed as soon all the same.
func TestDeadLinkIsNoticedWhileAWriteIsStuck(t *testing.T) {
	bothWays(t, func(t *testing.T, way func(string) mqtt.Options) {
		start := time.Now()
		o := way(rawServer(t, connack(0)))
		o.KeepAlive = 2 * time.Second
		c := dial(t, o)
		ended := flood(c)
		await(t, c.Done())
		if took := time.Since(start); took > noticedWithin {
			t.Errorf("noticed after %v", took)
		}
		if err := await(t, ended); err == nil || errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("error %v, want one that blames the session", err)
		}
	})
}

// A Publish that hangs, since nobody reads at the other end, is freed by Close.
func TestCloseFreesAStuckPublish(t *testing.T) {
	c := dial(t, mqtt.Options{Address: rawServer(t, connack(0))})
	stuck, ended := make(chan struct{}), make(chan error)
	go func() {
		payload := bytes.Repeat([]byte("x"), 1<<20)
		var err error
		for sent := 0; err == nil; sent++ {
			if sent == 8 {
				close(stuck)
			}
			_, err = c.Publish("t", payload, false)
		}
		ended <- err
	}()
	select {
	case <-stuck:
	case <-time.After(200 * time.Millisecond): // the buffers of the system are full
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_ = c.Close(ctx)
	await(t, ended)
}
