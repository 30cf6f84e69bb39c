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
		case h.maintenance.on():
			_ = raw.Close()
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
	w.chain = secure.ConnectionState().PeerCertificates
	h.session(w)
}

// session speaks MQTT on w until it ends.
func (h *Hub) session(w *wire) {
	err := h.broker.server.EstablishConnection("hub", w)
	_ = w.Close() // for the second time, as a rule
	switch {
	case w.client != nil:
		w.client.over(err)
	case !w.refused && h.closing.Err() == nil:
		h.log.Warn("a client was cut off before it had logged in", "remote", w.RemoteAddr().String(), "error", err)
	}
}
