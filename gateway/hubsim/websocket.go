package hubsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fieldpost/fieldpost/gateway/wsconn"
)

// webSocket serves MQTT in a WebSocket, for devices behind firewalls that let
// only port 443 through.
func (h *Hub) webSocket(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		return
	}
	defer h.running.Done()
	upgrader := websocket.Upgrader{
		Subprotocols: []string{"mqtt"}, HandshakeTimeout: helloTime,
		CheckOrigin: func(*http.Request) bool { return true }, // CONNECT has its own credentials
	}
	ws, err := upgrader.Upgrade(w, r, nil) // answers its errors itself
	if err != nil {
		h.log.Warn("no WebSocket with a client", "remote", r.RemoteAddr, "error", err)
		return
	}
	ws.SetReadLimit(2 << 20) // several messages may share a frame
	raw := ws.NetConn()
	if secure, ok := raw.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	wire := &wire{Conn: wsconn.New(ws), raw: raw, chain: certificatesOf(r)}
	end := context.AfterFunc(h.closing, func() { _ = wire.Close() })
	defer end()
	_ = wire.SetDeadline(time.Now().Add(helloTime))
	h.session(wire)
}

// certificatesOf is what the client of a request has shown.
func certificatesOf(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}
