package mqtt_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

func TestParseProxy(t *testing.T) {
	for s, want := range map[string]string{
		"http://h": "http://h:3128", "http://u:p%40ss@h:80/": "http://h:80", "http://[::1]:1": "http://[::1]:1",
	} {
		p := proxyAt(t, s)
		if p.String() != want || fmt.Sprintf("%v %+v", p, p) != want+" "+want {
			t.Errorf("%s: %v", s, p)
		}
	}
	if p, err := mqtt.ParseProxy(""); p != nil || err != nil {
		t.Errorf("nothing: %v, %v", p, err)
	}
	for _, bad := range []string{"h:3128", "https://h", "http://", "http://h:0", "http://h:x", "http://h/secret", "http://u:secret%@h", "http://h?secret", "socks5://h"} {
		if _, err := mqtt.ParseProxy(bad); !errors.Is(err, gateway.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want ErrInvalid", bad, err)
		}
	}
}

func FuzzParseProxy(f *testing.F) {
	f.Add("http://u:secret@h:3128")
	f.Add("http://[::1]")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := mqtt.ParseProxy(s)
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		if p == nil {
			return
		}
		if host, port, err := net.SplitHostPort(p.URL().Host); err != nil || host == "" || port == "" || p.URL().Scheme != "http" {
			t.Errorf("%q: accepted as %v", s, p)
		}
	})
}

// TestProxyRefuses: the error says whose fault it is, and no password.
func TestProxyRefuses(t *testing.T) {
	right := startProxy(t)
	for name, tc := range map[string]struct {
		proxy   *mqtt.Proxy
		address string
		want    string
	}{
		"wrong password": {proxyAt(t, "http://user:secret@"+right.URL().Host), "127.0.0.1:2", "does not accept user and password"},
		"no password":    {proxyAt(t, "http://"+right.URL().Host), "127.0.0.1:2", "does not accept user and password"},
		"no server":      {right, "hub.example:1", "does not connect to hub.example:1: 502"},
		"no proxy":       {proxyAt(t, "http://user:secret@"+unused(t)), "127.0.0.1:2", "connection refused"},
	} {
		_, err := mqtt.Dial(t.Context(), mqtt.Options{Address: tc.address, Proxy: tc.proxy})
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "proxy http://127.0.0.1:") ||
			strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "p@ss") {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
}

// unused is an address at which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A proxy that is none, or whose answer has no end, is given up.
func TestStrangeProxies(t *testing.T) {
	for answer, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.2\r\n":                                 "malformed",
		"HTTP/1.1 200 OK\r\n\r\n\x20\x02\x00\x00":                 "answers more",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20000): "malformed", // cut in the midst of a line
		"": "EOF",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() { answerOnce(l, answer) })
		_, err = mqtt.Dial(t.Context(), mqtt.Options{Address: "h:1", Proxy: proxyAt(t, "http://"+l.Addr().String())})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: error %v, want one with %q", answer, err, want)
		}
		_ = l.Close()
		serving.Wait()
	}
	mute := proxyAt(t, "http://"+rawServer(t, nil))
	if _, err := mqtt.Dial(t.Context(), mqtt.Options{Address: "h:1", Proxy: mute, ConnectTimeout: 50 * time.Millisecond}); !errors.Is(err, gateway.ErrTimeout) {
		t.Errorf("mute: error %v, want ErrTimeout", err)
	}
}

func answerOnce(l net.Listener, answer string) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	_, _ = io.WriteString(c, answer)
}
