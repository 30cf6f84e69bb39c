package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fieldpost/fieldpost/gateway/wsconn"
)

// errLost is all that paho is told of a loss. It must not read like the error
// of a socket that was closed here, which paho takes for its own doing.
var errLost = errors.New("connection lost")

// socket is the network as paho sees it, which writes each packet with one
// Write. It gives a loss one way only, by
// Read: a Write that fails cuts the line and pretends to have worked. Before
// paho learns of the loss, lost has returned.
type socket struct {
	net.Conn
	buffered *bufio.Reader // paho reads byte by byte
	frames   frames        // of what paho has read
	conn     *Conn
}

// dial opens the network connection; ctx bounds it and the TLS handshake.
func (c *Conn) dial(ctx context.Context) (net.Conn, error) {
	line, err := c.line(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		c.fail(err)
		return nil, err
	}
	s := &socket{Conn: line, conn: c, frames: frames{purposes: &c.purposes}}
	s.buffered = bufio.NewReader(idleReader{line, c.opts.KeepAlive * 3 / 2})
	return s, nil
}

// line makes what MQTT is spoken on, from the outside in: a TCP connection, a
// way through a proxy, TLS, a WebSocket.
func (c *Conn) line(ctx context.Context) (net.Conn, error) {
	line, err := c.reach(ctx)
	if err != nil {
		return nil, err
	}
	if c.opts.TLS != nil {
		secured := tls.Client(line, c.opts.TLS)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, explainTLS(c.opts.TLS.ServerName, err)
		}
		line = secured
	}
	if c.opts.WebSocket == "" {
		return line, nil
	}
	return wsconn.Open(ctx, line, c.opts.WebSocket)
}

// reach connects to the server, perhaps through a proxy.
func (c *Conn) reach(ctx context.Context) (net.Conn, error) {
	address := c.opts.Address
	if c.opts.Proxy != nil {
		address = c.opts.Proxy.url.Host
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		if c.opts.Proxy != nil {
			err = fmt.Errorf("proxy %v: %w", c.opts.Proxy, err)
		}
		return nil, err
	}
	c.adopt(raw)
	line := meteredLine{raw, c.opts.Meter}
	if c.opts.Proxy != nil {
		if err := c.opts.Proxy.open(line, c.opts.Address); err != nil {
			return nil, err
		}
	}
	return line, nil
}

// adopt makes raw the line that fail cuts.
func (c *Conn) adopt(raw net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = raw
	if c.cause != nil {
		_ = raw.Close()
	}
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.buffered.Read(p)
	if err == nil {
		err = s.frames.pass(p[:n])
	}
	if err != nil {
		s.conn.lost(err)
		return 0, errLost
	}
	return n, nil
}

func (s *socket) Write(p []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(s.conn.opts.KeepAlive))
	purpose := s.conn.purposes.outgoing(p) // before a PUBACK for it can come
	if _, err := s.Conn.Write(p); err != nil {
		s.conn.fail(err)
	} else {
		s.conn.opts.Meter.Packet(purpose, 0, len(p))
	}
	return len(p), nil
}

// SetDeadline does nothing: paho sets one for the login, which ctx bounds.
func (s *socket) SetDeadline(time.Time) error { return nil }

// idleReader fails when nothing came for too long. paho pings in time, so that
// something always comes on a line that works.
type idleReader struct {
	net.Conn
	limit time.Duration
}

func (r idleReader) Read(p []byte) (int, error) {
	_ = r.SetReadDeadline(time.Now().Add(r.limit))
	n, err := r.Conn.Read(p)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return n, errors.New("nothing received for " + r.limit.String() + ", not even an answer to a ping")
	}
	return n, err
}
