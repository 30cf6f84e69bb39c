package wsconn_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fieldpost/fieldpost/gateway/wsconn"
)

// serve answers one WebSocket with f, and gives the client's end.
func serve(t *testing.T, f func(ws *websocket.Conn)) *wsconn.Conn {
	t.Helper()
	return serveOn(t, func(line net.Conn) net.Conn { return line }, f)
}

// serveOn is serve on a line that is wrapped.
func serveOn(t *testing.T, wrap func(net.Conn) net.Conn, f func(ws *websocket.Conn)) *wsconn.Conn {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	var serving sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		f(ws)
	}))
	t.Cleanup(func() { s.Close(); serving.Wait() })
	c, err := openOn(t, s.Listener.Addr().String(), wrap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func open(t *testing.T, address string) (*wsconn.Conn, error) {
	t.Helper()
	return openOn(t, address, func(line net.Conn) net.Conn { return line })
}

func openOn(t *testing.T, address string, wrap func(net.Conn) net.Conn) (*wsconn.Conn, error) {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	line := wrap(raw)
	c, err := wsconn.Open(t.Context(), line, "ws://"+address+"/mqtt?token=secret")
	if err != nil {
		_ = line.Close()
	}
	return c, err
}

// TestStream: what is one stream on the one side is one on the other, wherever
// messages begin and end.
func TestStream(t *testing.T) {
	sent := make([]byte, 300_000)
	for i := range sent {
		sent[i] = byte(i * i >> 3)
	}
	c := serve(t, func(ws *websocket.Conn) { _, _ = io.Copy(wsconn.New(ws), wsconn.New(ws)) })
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(1+len(rest)%70_000, len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("what came back differs: %v", err)
	}
}

func TestEmptyMessagesAreNoEnd(t *testing.T) {
	c := serve(t, func(ws *websocket.Conn) {
		for _, part := range []string{"", "a", "", "", "b"} {
			_ = ws.WriteMessage(websocket.BinaryMessage, []byte(part))
		}
	})
	got := make([]byte, 2)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ab" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTextIsRefused(t *testing.T) {
	c := serve(t, func(ws *websocket.Conn) {
		_ = ws.WriteMessage(websocket.TextMessage, []byte("hello"))
		_, _, _ = ws.ReadMessage()
	})
	if _, err := c.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "not binary") {
		t.Errorf("error %v", err)
	}
}

// TestWriteDeadline: it frees a Write that is stuck already.
func TestWriteDeadline(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	c := serve(t, func(*websocket.Conn) { <-done })
	ended := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 1<<20))
		}
		ended <- err
	}()
	time.AfterFunc(100*time.Millisecond, func() { _ = c.SetWriteDeadline(time.Now()) })
	select {
	case err := <-ended:
		if !isTimeout(err) {
			t.Errorf("error %v, want a timeout", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still stuck")
	}
}

// deadlines counts the deadlines that are set on a line.
type deadlines struct {
	net.Conn
	set atomic.Int64
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.set.Add(1)
	return d.Conn.SetWriteDeadline(t)
}

// TestWriteDeadlineIsNotTakenBack: one that is set just as a Write begins counts.
func TestWriteDeadlineIsNotTakenBack(t *testing.T) {
	var line *deadlines
	c := serveOn(t, func(raw net.Conn) net.Conn {
		line = &deadlines{Conn: raw}
		return line
	}, func(ws *websocket.Conn) { _, _ = io.Copy(io.Discard, wsconn.New(ws)) })
	if err := c.SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if n := line.set.Load(); n != 1 {
		t.Errorf("the deadline was set %d times, want once", n)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestReadDeadline(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	c := serve(t, func(*websocket.Conn) { <-done })
	_ = c.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("error %v, want a timeout", err)
	}
}

// TestOpenFails: a server that is none says why, and one that never ends is
// bounded.
func TestOpenFails(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"not found":      {http.NotFound, "the server answers 404 Not Found"},
		"no subprotocol": {func(w http.ResponseWriter, r *http.Request) { _, _ = new(websocket.Upgrader).Upgrade(w, r, nil) }, "does not speak MQTT"},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) {
			line, _, _ := http.NewResponseController(w).Hijack()
			defer line.Close()
			_, _ = line.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n"))
			var err error
			for err == nil {
				_, err = line.Write([]byte("X: " + strings.Repeat("x", 1000) + "\r\n"))
			}
		}, "has no end"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tc.answer)
			defer s.Close()
			c, err := open(t, s.Listener.Addr().String())
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, error %v, want one with %q and no secret", c, err, tc.want)
			}
		})
	}
}

// FuzzFrames: what a server sends behind its answer ends in bytes or an error,
// with no more bytes than came.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x82, 2, 0x20, 2})
	f.Add([]byte{0x02, 1, 'a', 0x80, 1, 'b', 0x89, 0, 0x88, 2, 3, 0xe8})
	f.Add([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, frames []byte) {
		client, server := net.Pipe()
		var serving sync.WaitGroup
		serving.Go(func() { answer(server, frames) })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c, err := wsconn.Open(ctx, client, "ws://hub/mqtt")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err == nil || len(got) > len(frames) {
			t.Errorf("%d bytes of %d, %v", len(got), len(frames), err)
		}
		_ = c.Close()
		serving.Wait()
	})
}

// answer is a server that sends frames and hangs up.
func answer(line net.Conn, frames []byte) {
	defer line.Close()
	r, err := http.ReadRequest(bufio.NewReader(line))
	if err != nil {
		return
	}
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = line.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(accept[:]) + "\r\n\r\n"))
	go func() { _, _ = io.Copy(io.Discard, line) }() // answers to pings
	_, _ = line.Write(frames)
}
