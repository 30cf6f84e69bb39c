package mqtt

import (
	"cmp"
	"context"
	"crypto/tls"
	"time"

	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// Options of a connection. A zero duration means its default.
type Options struct {
	// Address to dial, "host:port".
	Address string
	// TLS is nil for a plain connection; see Trust.
	TLS *tls.Config
	// WebSocket is the ws:// or, with TLS, wss:// address to ask for at Address,
	// if MQTT is to be spoken in a WebSocket; empty if not.
	WebSocket string
	// Proxy is what to go through; nil for none. It, not this board, then finds
	// Address.
	Proxy *Proxy

	ClientID string
	Username string
	Password string
	// CleanSession makes the server forget the subscriptions and undelivered
	// messages of this client id.
	CleanSession bool
	// Will is published by the server when the connection is lost; nil for none.
	Will *Will

	// KeepAlive is the longest silence on the line, in whole seconds; default
	// 60 s. A dead link is noticed within one and a half times as long.
	KeepAlive time.Duration
	// ConnectTimeout bounds Dial, and each Subscribe; default 30 s.
	ConnectTimeout time.Duration
	// OnMessage gets the incoming messages, one at a time and in order, also
	// those that arrive before Dial returns. While it blocks nothing is read from
	// the line, confirmations of what was published neither: whoever may have to
	// wait keeps a bounded buffer. Its ctx ends with the connection. Without it
	// messages are neither handled nor acknowledged.
	OnMessage func(ctx context.Context, m Inbound)
	// Meter counts the bytes that pass; nil counts none.
	Meter *uplink.Meter
}

// Will is a message that the server keeps for the moment of our death.
type Will struct {
	Topic    string
	Payload  []byte
	Retained bool
}

// Inbound is a message from the server.
type Inbound struct {
	Topic     string
	Payload   []byte
	Retained  bool
	Duplicate bool
	// Ack sends the PUBACK. After the connection has ended it does nothing.
	Ack func()
}

func (o Options) withDefaults() Options {
	o.KeepAlive = cmp.Or(o.KeepAlive, time.Minute).Round(time.Second)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 30*time.Second)
	return o
}
