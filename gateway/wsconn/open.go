package wsconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Open asks the server at the other end of line for a WebSocket with the
// subprotocol mqtt. url is its ws:// or wss:// address; TLS, if any, is up
// already. A ctx without a deadline does not bound it: then close line. What is
// behind the ? of the url is not told in errors: it may be a secret.
func Open(ctx context.Context, line net.Conn, url string) (*Conn, error) {
	hello := &bounded{Conn: line, left: maxHello}
	deliver := func(context.Context, string, string) (net.Conn, error) { return hello, nil }
	dialer := websocket.Dialer{
		NetDialContext: deliver, NetDialTLSContext: deliver,
		Subprotocols: []string{subprotocol}, WriteBufferSize: 8 << 10,
	}
	ws, answer, err := dialer.DialContext(ctx, url, nil)
	url, _, _ = strings.Cut(url, "?")
	switch {
	case answer != nil && errors.Is(err, websocket.ErrBadHandshake):
		return nil, fmt.Errorf("no WebSocket at %s: the server answers %.80s", url, answer.Status)
	case err != nil:
		return nil, fmt.Errorf("no WebSocket at %s: %w", url, err)
	case ws.Subprotocol() != subprotocol:
		_ = ws.Close()
		return nil, fmt.Errorf("the WebSocket at %s does not speak MQTT", url)
	}
	hello.left = unbounded
	c := New(ws)
	c.Conn = line // whose deadlines the WebSocket does not touch
	return c, nil
}

// subprotocol is what a server that speaks MQTT 3.1.1 calls it.
const subprotocol = "mqtt"

// maxHello bounds the answer to the request, which the reader of HTTP does not.
const (
	maxHello  = 64 << 10
	unbounded = -1
)

// bounded is a connection that gives so many bytes and no more.
type bounded struct {
	net.Conn
	left int
}

// SetWriteDeadline does nothing: the WebSocket sets its deadline before each
// write, and would take back one that was set amid that. The Conn sets those of
// the line itself.
func (*bounded) SetWriteDeadline(time.Time) error { return nil }

var errTooLong = errors.New("the answer of the server has no end")

func (b *bounded) Read(p []byte) (int, error) {
	switch b.left {
	case unbounded:
		return b.Conn.Read(p)
	case 0:
		return 0, errTooLong
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
