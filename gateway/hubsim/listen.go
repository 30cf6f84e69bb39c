package hubsim

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// helloTime is how long a client may take for TLS and CONNECT.
const helloTime = 10 * time.Second

// wire is the connection below a client. The broker library carries it, and
// with it what the hub knows of the client.
type wire struct {
	net.Conn
	raw     net.Conn // the TCP connection
	conn    *conn    // of the device, once it was admitted
	refused bool     // and why was logged
}

// Close closes the TCP connection. TLS would wait for a peer that does not read.
func (w *wire) Close() error { return w.raw.Close() }

// listen binds an address for the use of a flag.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, errors.Join(errors.New("cannot listen on "+address+"; choose another address with --"+flag+", port 0 for any that is free"), err)
	}
	return l, nil
}

// acceptMQTT serves MQTT until the listener is closed.
func (h *Hub) acceptMQTT(l net.Listener, settings *tls.Config) {
	for {
		raw, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors: they may come back
			h.log.Warn("cannot accept a connection", "error", err)
			h.pause(100 * time.Millisecond)
		default:
			secure := tls.Server(raw, settings)
			h.running.Go(func() { h.handshake(secure, raw) })
		}
	}
}

func (h *Hub) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-h.closing.Done():
	}
}

func (h *Hub) handshake(secure *tls.Conn, raw net.Conn) {
	w := &wire{Conn: secure, raw: raw}
	end := context.AfterFunc(h.closing, func() { _ = w.Close() })
	defer end()
	_ = secure.SetDeadline(time.Now().Add(helloTime))
	if err := secure.HandshakeContext(h.closing); err != nil {
		h.log.Warn("no TLS with a client; it must trust "+h.authority.path, "remote", raw.RemoteAddr().String(), "error", err)
		_ = w.Close()
		return
	}
	h.session(w)
}

// session speaks MQTT on w until it ends.
func (h *Hub) session(w *wire) {
	err := h.broker.server.EstablishConnection("hub", w)
	_ = w.Close() // for the second time, as a rule
	switch {
	case w.conn != nil:
		w.conn.over(err)
	case !w.refused && h.closing.Err() == nil:
		h.log.Warn("a client was cut off before it was a device", "remote", w.RemoteAddr().String(), "error", err)
	}
}
