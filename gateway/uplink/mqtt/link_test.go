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

// paho leaves a Publish hanging that is under way when it learns of a loss.
// Here the peer reads nothing, so that there is always one, and then hangs up.
func TestLossFreesAPublishUnderWay(t *testing.T) {
	for range 10 {
		addr, hangUp := stubbornServer(t)
		c := dial(t, mqtt.Options{Address: addr})
		var sent atomic.Int64
		ended := make(chan error)
		go func() {
			var err error
			payload := make([]byte, 256<<10)
			for ; err == nil; sent.Add(1) {
				_, err = c.Publish("t", payload, false)
			}
			ended <- err
		}()
		for last := int64(-1); last != sent.Load(); time.Sleep(20 * time.Millisecond) {
			last = sent.Load()
		}
		hangUp()
		await(t, ended)
		closeConn(t, c)
	}
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

func TestDeadLinkIsNoticed(t *testing.T) {
	start := time.Now()
	c := dial(t, mqtt.Options{Address: rawServer(t, connack(0)), KeepAlive: time.Second})
	await(t, c.Done())
	if took := time.Since(start); took > 1700*time.Millisecond {
		t.Errorf("noticed after %v, want 1.5 keep-alives of 1 s", took)
	}
	if c.Err() == nil || !strings.Contains(c.Err().Error(), "nothing received") {
		t.Errorf("reason %v", c.Err())
	}
}

// A link can die while the buffers of the system are full, so that a PINGREQ
// waits behind a message. It is noticed as soon all the same.
func TestDeadLinkIsNoticedWhileAWriteIsStuck(t *testing.T) {
	start := time.Now()
	c := dial(t, mqtt.Options{Address: rawServer(t, connack(0)), KeepAlive: 2 * time.Second})
	var sent atomic.Int64
	ended := make(chan error)
	go func() {
		var err error
		payload := make([]byte, 256<<10)
		for ; err == nil; sent.Add(1) {
			_, err = c.Publish("t", payload, false)
		}
		ended <- err
	}()
	for last := int64(-1); last != sent.Load(); time.Sleep(100 * time.Millisecond) {
		last = sent.Load()
	}
	if c.Err() != nil {
		t.Fatalf("ended before a write was stuck: %v", c.Err())
	}
	await(t, c.Done())
	if took := time.Since(start); took > 3200*time.Millisecond {
		t.Errorf("noticed after %v, want 1.5 keep-alives of 2 s", took)
	}
	if err := await(t, ended); err == nil || errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("error %v, want one that blames the session", err)
	}
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
