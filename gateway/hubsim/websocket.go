package hubsim

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
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
	wire := &wire{Conn: &socket{Conn: ws.NetConn(), ws: ws}, raw: raw}
	end := context.AfterFunc(h.closing, func() { _ = wire.Close() })
	defer end()
	_ = wire.SetDeadline(time.Now().Add(helloTime))
	h.session(wire)
}

// socket is the stream of bytes in the binary frames of a WebSocket.
type socket struct {
	net.Conn
	ws    *websocket.Conn
	frame io.Reader // what is left of the current frame
}

func (s *socket) Read(p []byte) (int, error) {
	for {
		if s.frame == nil {
			kind, frame, err := s.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("a WebSocket frame that is not binary")
			}
			s.frame = frame
		}
		n, err := s.frame.Read(p)
		if errors.Is(err, io.EOF) { // of the frame
			s.frame, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (s *socket) Write(p []byte) (int, error) {
	if err := s.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
