package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/exposition"
)

func TestWhereMetricsCanBeServed(t *testing.T) {
	for _, good := range []string{"", "127.0.0.1:9273", ":9273", "0.0.0.0:1", "[::1]:65535", "[fe80::1%eth0]:9273"} {
		if err := (&MetricsConfig{Listen: good}).Validate(); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"9273", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "localhost:9273", "::1:9273", "http://127.0.0.1:9273", "127.0.0.1:-1"} {
		if err := (&MetricsConfig{Listen: bad}).Validate(); err == nil || !strings.Contains(err.Error(), "127.0.0.1:9273") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// ownAddress is one that no other process uses: the network 127 has enough for all.
func ownAddress(port int) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:%d", 64+pid>>16&63, pid>>8&255, pid&255, port)
}

// scrape asks for a page on a connection of its own.
func scrape(t *testing.T, address, path string) (int, string, []byte) {
	t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, "", []byte(err.Error())
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", []byte(err.Error())
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), page
}

// served waits until metrics are there, or are not.
func served(t *testing.T, address string, wanted bool) {
	t.Helper()
	eventually(t, func() error {
		if code, _, page := scrape(t, address, "/metrics"); (code == http.StatusOK) != wanted {
			return fmt.Errorf("%s: %d %.200s", address, code, page)
		}
		return nil
	})
}

func withMetrics(b *testBroker, address string) string {
	return strings.Replace(configText, "BROKER", b.url, 1) + "metrics: {listen: '" + address + "'}\n"
}

// TestMetricsAreTheStatus, at the socket and at an address, where there is nothing else.
func TestMetricsAreTheStatus(t *testing.T) {
	b, address := startBroker(t), ownAddress(9273)
	r := startServiceWith(t, t.TempDir(), withMetrics(b, address))
	r.awaitConnected(t)
	if got := r.do(t, "bench", "relay", `{"on":true}`); got.Status != gateway.StatusDone {
		t.Fatalf("%+v", got)
	}
	served(t, address, true)
	eventually(t, func() error {
		code, kind, page := scrape(t, address, "/metrics")
		if code != http.StatusOK || kind != exposition.ContentType {
			t.Fatalf("%d %s %s", code, kind, page)
		}
		m := scraped(t, page)
		if sent := number(t, m, "fieldpost_uplink_messages_acknowledged_total"); sent == 0 || number(t, m, "fieldpost_queue_messages_acknowledged_total", "telemetry") == 0 {
			return fmt.Errorf("%v messages acknowledged", sent)
		}
		if number(t, m, "fieldpost_uplink_connected") != 1 || number(t, m, "fieldpost_commands_total", "local", "done") != 1 ||
			number(t, m, "fieldpost_device_state", "bench", "good") != 1 || number(t, m, "fieldpost_device_safe", "bench") != 0 || number(t, m, "fieldpost_clock_trusted") != 1 ||
			number(t, m, "fieldpost_device_reads_total", "bench") == 0 || number(t, m, "fieldpost_resident_memory_bytes") == 0 || number(t, m, "fieldpost_uplink_bytes_total", "telemetry", "out") == 0 {
			t.Errorf("%s", page)
		}
		return nil
	})
	code, page := r.call(t, http.MethodGet, "/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("at the socket: %d %s", code, page)
	}
	scraped(t, []byte(page))
	for path, want := range map[string]int{"/": 404, "/v1/status": 404, "/metrics/x": 404, "/debug/pprof/": 404} {
		if code, _, _ := scrape(t, address, path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	resp, err := http.Post("http://"+address+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v %v", resp, err)
	}
	for range 2 * metricsConns { // who says nothing does not hold up the stop
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if code, page := r.call(t, http.MethodGet, "/metrics", ""); code != http.StatusOK {
		t.Errorf("at the socket: %d %s", code, page)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	served(t, address, false)
}

// TestMetricsFollowTheConfig: a reload begins, moves and ends them, and disturbs nothing.
func TestMetricsFollowTheConfig(t *testing.T) {
	b, first, second := startBroker(t), ownAddress(9274), ownAddress(9275)
	before := ownGoroutines()
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	change := func(from, to string) {
		t.Helper()
		r.edit(t, from, to)
		if got := r.reload(t); !got.Metrics || got.Upstream || len(got.Added)+len(got.Removed)+len(got.Reopened)+len(got.Tuned) > 0 || !strings.Contains(got.Text(), "metrics.listen") {
			t.Errorf("reloaded %+v: %s", got, got.Text())
		}
	}
	change("batch: {", "metrics: {listen: '"+first+"'}\nbatch: {")
	served(t, first, true)
	if got := r.reload(t); got.Metrics {
		t.Errorf("nothing was changed: %+v", got)
	}
	change(first, second)
	served(t, second, true)
	served(t, first, false)
	change("metrics: {listen: '"+second+"'}\n", "")
	served(t, second, false)
	if got := b.on("fieldpost/gw/status"); len(got) != 1 {
		t.Errorf("the connection was made anew: %q", got)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	leavesNone(t, before)
}

// TestAPortInUseIsAConditionOnly: the gateway works, says what is wrong, and serves the
// metrics when the port is free.
func TestAPortInUseIsAConditionOnly(t *testing.T) {
	b, address := startBroker(t), ownAddress(9276)
	other, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r := startServiceWith(t, t.TempDir(), withMetrics(b, address))
	r.awaitConnected(t)
	stands := func() string {
		var s Status
		_, body := r.call(t, http.MethodGet, "/v1/status", "")
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		for _, c := range s.Conditions {
			if c.Code == conditionMetrics {
				return c.Summary
			}
		}
		return ""
	}
	eventually(t, func() error {
		if s := stands(); !strings.Contains(s, address) || !strings.Contains(s, "another program has this port") {
			return fmt.Errorf("condition %q", s)
		}
		return nil
	})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	served(t, address, true)
	if s := stands(); s != "" {
		t.Errorf("condition %q", s)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// counted is a listener that knows how many connections are open, and the most there were.
type counted struct {
	net.Listener
	mu         sync.Mutex
	open, most int
}

// countedConn is one of them.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *counted) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += n
	c.most = max(c.most, c.open)
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.add(1)
		conn = countedConn{conn, sync.OnceFunc(func() { c.add(-1) })}
	}
	return conn, err
}

func (c countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// TestSlowReadersHoldNobodyUp, whether they say nothing or do not take their page: others
// wait for some seconds, never more are served than there are places, and a stop ends all.
func TestSlowReadersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, address := &counted{Listener: l}, l.Addr().String()
	page := make([]byte, 16<<20) // more than the kernel takes for who does not read
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveScrapers(ctx, listener, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	}()
	connect := func(n int, say string) {
		for range n {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			if _, err := io.WriteString(conn, say); err != nil {
				t.Fatal(err)
			}
		}
	}
	full := func() {
		t.Helper()
		eventually(t, func() error {
			listener.mu.Lock()
			defer listener.mu.Unlock()
			if listener.open < metricsConns {
				return fmt.Errorf("%d are served", listener.open)
			}
			return nil
		})
	}
	const ask = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
	connect(metricsConns+1, ask)
	full()
	connect(2, "")
	eventually(t, func() error {
		if code, _, got := scrape(t, address, "/metrics"); code != http.StatusOK || len(got) != len(page) {
			return fmt.Errorf("%d, %d bytes", code, len(got))
		}
		return nil
	})
	connect(2*metricsConns, ask)
	full()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if listener.open > 0 || listener.most > metricsConns {
		t.Errorf("%d were served at the same time, %d are left", listener.most, listener.open)
	}
}
