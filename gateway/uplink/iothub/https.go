package iothub

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

const (
	// maxAnswerBytes bounds what is read of an answer.
	maxAnswerBytes = 64 << 10
	// maxExcerptBytes bounds what an error quotes of one.
	maxExcerptBytes = 200
	// sendBuffer bounds what the system takes in of a body before it is on the
	// line: what is in there, telemetry waits behind.
	sendBuffer = 64 << 10
)

// web is a client of one server.
type web struct {
	*http.Client
	// settle tells what decides whom to trust what came of a request.
	settle func(error)
}

// web returns a client that counts its bytes as uploads. It goes nowhere but
// where it is told to, and keeps a connection for the next request.
func (l *line) web(settings *tls.Config, settle func(error)) web {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if tcp, ok := raw.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer) // without it, it works too
		}
		return countedConn{raw, l.meter}, nil
	}
	var proxy func(*http.Request) (*url.URL, error) // not that of the environment
	if l.proxy != nil {
		proxy = http.ProxyURL(l.proxy.URL())
	}
	var mu sync.Mutex // connections are made beside the requests
	if verify := settings.VerifyConnection; verify != nil {
		settings.VerifyConnection = func(state tls.ConnectionState) error {
			mu.Lock()
			defer mu.Unlock()
			return verify(state)
		}
	}
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: proxy, DialContext: dial, TLSClientConfig: settings, TLSHandshakeTimeout: 30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true,
		},
	}
	return web{client, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		settle(err)
	}}
}

// countedConn counts all that passes.
type countedConn struct {
	net.Conn
	meter *uplink.Meter
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count(n, 0)
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.count(0, n)
	return n, err
}

func (c countedConn) count(in, out int) {
	c.meter.Socket(in, out)
	c.meter.Packet(uplink.ForUploads, in, out)
}

// response is what a server has said, with as much of the body as is wanted.
type response struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request and reads an answer of at most limit bytes. Whatever is
// in the URL that must not be told is not in the error.
func (w web) ask(r *http.Request, limit int64) (response, error) {
	resp, err := w.Do(r)
	w.settle(err)
	if err != nil {
		var withURL *url.Error
		if errors.As(err, &withURL) { // its URL holds the token of the storage
			err = withURL.Err
		}
		return response{}, fmt.Errorf("%s: %w", r.URL.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return response{}, fmt.Errorf("%s: the answer breaks off: %w", r.URL.Host, err)
	case int64(len(body)) > limit:
		return response{}, fmt.Errorf("%s: the answer has more than %d bytes", r.URL.Host, limit)
	}
	return response{resp.StatusCode, resp.Header, body}, nil
}

// later adds the pause that the server asks for, if it does.
func (a response) later(err error) error {
	seconds, bad := strconv.ParseUint(a.header.Get("Retry-After"), 10, 31)
	if bad != nil || a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable {
		return err
	}
	return &upload.Later{After: time.Duration(seconds) * time.Second, Err: err}
}

// notPrintable is what a server's words must not bring into a log.
var notPrintable = regexp.MustCompile(`[^ -~]+`)

func excerpt(s string) string {
	s = notPrintable.ReplaceAllString(strings.TrimSpace(s), " ")
	return s[:min(len(s), maxExcerptBytes)]
}

// jsonBody is the body of a request.
func jsonBody(v any) io.Reader {
	data, _ := json.Marshal(v) // of strings, numbers and truth values
	return bytes.NewReader(data)
}
