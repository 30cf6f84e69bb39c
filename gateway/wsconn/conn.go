// Package wsconn makes a stream of bytes of the binary messages of a WebSocket,
// for protocols that ask for a stream, such as MQTT.
package wsconn

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Conn is the stream. Each Write is one message; Read does not tell where one
// ends. Unlike a WebSocket it may be written by several goroutines.
type Conn struct {
	net.Conn // what carries the WebSocket
	ws       *websocket.Conn
	message  io.Reader // what is left of the current one

	writing sync.Mutex
	// writeUntil is the deadline in Unix nanoseconds, 0 for none. The WebSocket
	// sets its own before each write, so that it has to be told.
	writeUntil atomic.Int64
}

// New takes over an open WebSocket.
func New(ws *websocket.Conn) *Conn { return &Conn{Conn: ws.NetConn(), ws: ws} }

var errNotBinary = errors.New("a message of the WebSocket is not binary")

func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.message == nil {
			kind, message, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errNotBinary
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) { // of the message
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	var until time.Time
	if at := c.writeUntil.Load(); at != 0 {
		until = time.Unix(0, at)
	}
	_ = c.ws.SetWriteDeadline(until) // never fails
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetWriteDeadline counts for a Write under way too.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		c.writeUntil.Store(0)
	} else {
		c.writeUntil.Store(t.UnixNano())
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
