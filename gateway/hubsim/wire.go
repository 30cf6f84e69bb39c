package hubsim

import (
	"crypto/x509"
	"net"
	"sync"
	"time"
)

// wire is the connection below a client. The broker library carries it, and
// with it what the hub knows of the client.
//
// Answers wait in a buffer until the library wants to read more than has come,
// so that a burst of messages is answered with one write.
type wire struct {
	net.Conn
	raw     net.Conn            // the TCP connection
	chain   []*x509.Certificate // that the client has shown
	client  client              // who it is, once it was admitted
	refused bool                // and why was logged

	mu      sync.Mutex
	pending []byte
}

// maxPending is how many bytes of answers may wait.
const maxPending = 4 << 10

// Read sends what waits before it waits itself.
func (w *wire) Read(p []byte) (int, error) {
	if err := w.flush(); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

// Write keeps p for the next Read or flush.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, p...)
	if len(w.pending) < maxPending {
		return len(p), nil
	}
	return len(p), w.send()
}

// flush sends what waits. Who writes outside the loop that reads must call it.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.send()
}

// send runs with the mutex held.
func (w *wire) send() error {
	if len(w.pending) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.pending)
	w.pending = w.pending[:0]
	return err
}

// Close sends what waits, if the peer takes it at once, and closes the TCP
// connection. TLS would wait for a peer that does not read.
func (w *wire) Close() error {
	_ = w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_ = w.flush() // the peer may be gone
	return w.raw.Close()
}
