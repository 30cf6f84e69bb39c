package mqtt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// scriptedServer lets a client log in, and answers the next packet with answer.
func scriptedServer(t *testing.T, answer []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		buffer := make([]byte, 4096)
		_, _ = c.Read(buffer)
		_, _ = c.Write(connack(0))
		_, _ = c.Read(buffer)
		for _, b := range answer { // in as many pieces as a network can make of it
			_, _ = c.Write([]byte{b})
		}
		_, _ = io.Copy(io.Discard, c)
	}()
	return l.Addr().String()
}

// TestHostileServer: paho would panic at some of these, and make room for the
// 256 MB that another one announces.
func TestHostileServer(t *testing.T) {
	for name, tt := range map[string]struct {
		answer []byte
		want   string
	}{
		"SUBACK with two codes":        {[]byte{0x90, 4, 0, 1, 1, 1}, "SUBACK of 4 bytes"},
		"SUBACK without a code":        {[]byte{0x90, 2, 0, 1}, "SUBACK of 2 bytes"},
		"SUBACK without anything":      {[]byte{0x90, 0}, "SUBACK of 0 bytes"},
		"packet of 256 MB":             {[]byte{0x32, 0xff, 0xff, 0xff, 0x7f}, "packet of 268435455 bytes"},
		"a length without an end":      {[]byte{0x32, 0xff, 0xff, 0xff, 0xff, 0x01}, "length"},
		"PUBLISH shorter than a topic": {[]byte{0x32, 1, 0}, "connection lost"},
		"topic longer than its packet": {[]byte{0x32, 4, 0xff, 0xff, 'a', 'b'}, "connection lost"},
		"packet of no known type":      {[]byte{0x00, 0}, "connection lost"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, mqtt.Options{
				Address: scriptedServer(t, tt.answer), ConnectTimeout: 5 * time.Second,
				OnMessage: func(context.Context, mqtt.Inbound) { t.Error("a message was made of it") },
			})
			err := c.Subscribe(t.Context(), "cmd")
			if err == nil || errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			await(t, c.Done())
		})
	}
}
