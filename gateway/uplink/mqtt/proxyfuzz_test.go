package mqtt

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

// answered is a connection to a proxy that has said all that it will say.
type answered struct {
	net.Conn
	answer io.Reader
}

func (a answered) Read(p []byte) (int, error)  { return a.answer.Read(p) }
func (a answered) Write(p []byte) (int, error) { return len(p), nil }

// FuzzProxyAnswer: whatever a proxy says, the way is open or there is an error,
// which tells no password; and only so much of it is read.
func FuzzProxyAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 Connection established\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
	p, err := ParseProxy("http://user:hunter2@proxy")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		rest := bytes.NewReader(append(answer, make([]byte, 2*maxProxyAnswer)...))
		before := rest.Len()
		err := p.open(answered{answer: rest}, "hub:8883")
		if read := before - rest.Len(); read > maxProxyAnswer {
			t.Errorf("%d bytes were read", read)
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") && !bytes.Contains(answer, []byte("hunter2")) {
			t.Errorf("error %v", err) // there is always more than was asked for
		}
		if err := p.open(answered{answer: bytes.NewReader(answer)}, "hub:8883"); err == nil && !bytes.HasPrefix(answer, []byte("HTTP/")) {
			t.Errorf("open after %q", answer)
		}
	})
}
