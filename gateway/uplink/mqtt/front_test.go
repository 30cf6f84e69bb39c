package mqtt_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
	"github.com/fieldpost/fieldpost/gateway/wsconn"
)

// inWebSocket puts a server of MQTT behind a WebSocket, with TLS if secure is
// given, and returns how to get there.
func inWebSocket(t *testing.T, server string, secure *tls.Config) mqtt.Options {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	var serving sync.WaitGroup
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		back, err := net.Dial("tcp", server)
		if err != nil {
			_ = ws.Close()
			return
		}
		join(wsconn.New(ws), back)
	}))
	scheme := "ws://"
	if secure != nil {
		s.TLS, scheme = secure.Clone(), "wss://"
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() { s.Close(); serving.Wait() })
	address := s.Listener.Addr().String()
	return mqtt.Options{Address: address, WebSocket: scheme + address + "/mqtt"}
}

// join copies both ways until one side ends.
func join(a, b net.Conn) {
	var copying sync.WaitGroup
	defer copying.Wait()
	copying.Go(func() { defer b.Close(); _, _ = io.Copy(b, a) })
	defer a.Close()
	_, _ = io.Copy(a, b)
}

// startProxy is a real proxy that wants a user and a password. A target that
// ends in ":1" it cannot reach.
func startProxy(t *testing.T) *mqtt.Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { passOn(client) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return proxyAt(t, "http://user:p%40ss@"+l.Addr().String())
}

func passOn(client net.Conn) {
	defer client.Close()
	r, err := http.ReadRequest(bufio.NewReader(client))
	if err != nil {
		return
	}
	refuse := func(status string) {
		_, _ = io.WriteString(client, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
	}
	// The password comes as if for a server of its own.
	auth := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	user, password, ok := auth.BasicAuth()
	switch {
	case r.Method != http.MethodConnect || r.Host != r.RequestURI:
		refuse("400 Bad Request")
	case !ok || user != "user" || password != "p@ss":
		refuse("407 Proxy Authentication Required")
	case strings.HasSuffix(r.Host, ":1"):
		refuse("502 Bad Gateway")
	default:
		server, err := net.Dial("tcp", r.Host)
		if err != nil {
			refuse("504 Gateway Timeout")
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
		join(client, server)
	}
}

func proxyAt(t testing.TB, s string) *mqtt.Proxy {
	t.Helper()
	p, err := mqtt.ParseProxy(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWays: a connection is made, used and counted whatever it goes through.
func TestWays(t *testing.T) {
	secure, ca := certificate(t, time.Now().Add(time.Hour))
	plain, _ := startBroker(t, &hook{}, nil)
	tlsBroker, _ := startBroker(t, &hook{}, secure)
	proxy := startProxy(t)
	settings := newTLS(t, "localhost", ca)
	for name, o := range map[string]mqtt.Options{
		"WebSocket":                      inWebSocket(t, plain, nil),
		"WebSocket on TLS":               withTLS(inWebSocket(t, plain, secure), settings),
		"proxy":                          {Address: plain, Proxy: proxy},
		"TLS through a proxy":            {Address: tlsBroker, TLS: settings, Proxy: proxy},
		"WebSocket on TLS through proxy": withProxy(withTLS(inWebSocket(t, plain, secure), settings), proxy),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, o)
			var last interface {
				Done() <-chan struct{}
				Err() error
			}
			for _, size := range []int{0, 1, 125, 126, 4096, 200_000} {
				r, err := c.Publish("t", make([]byte, size), false)
				if err != nil {
					t.Fatal(err)
				}
				last = r
			}
			await(t, last.Done())
			if err := last.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

func withTLS(o mqtt.Options, settings *tls.Config) mqtt.Options {
	o.TLS = settings
	return o
}

func withProxy(o mqtt.Options, p *mqtt.Proxy) mqtt.Options {
	o.Proxy = p
	return o
}
