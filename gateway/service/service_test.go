package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway"
)

// testBroker is a plain MQTT broker that lets everybody in.
type testBroker struct {
	server *mochi.Server
	url    string

	mu     sync.Mutex
	topics map[string][]string // payloads by topic
}

// openDoor lets everybody do everything.
type openDoor struct{ mochi.HookBase }

func (openDoor) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (openDoor) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (openDoor) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

func startBroker(t *testing.T) *testBroker {
	t.Helper()
	b := &testBroker{topics: make(map[string][]string)}
	b.server = mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0"})
	err := errors.Join(b.server.AddHook(new(openDoor), nil), b.server.AddListener(l), b.server.Serve(),
		b.server.Subscribe("#", 1, func(_ *mochi.Client, _ packets.Subscription, pk packets.Packet) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.topics[pk.TopicName] = append(b.topics[pk.TopicName], string(pk.Payload))
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.server.Close() })
	b.url = "mqtt://" + l.Address()
	return b
}

func (b *testBroker) on(topic string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.topics[topic]...)
}

// running is a service at work.
type running struct {
	dir    string
	logs   *syncBuffer
	client *http.Client
	cancel context.CancelFunc
	ended  chan error
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// configText is a gateway with every kind of device; DIR and BROKER are replaced.
const configText = `gateway: {id: gw, data_dir: DIR/data, socket: DIR/api.sock}
upstreams:
  - {type: mqtt, url: BROKER}
queue: {max_bytes: 64MB, min_free: 64MB, commit: {max_age: 20ms}}
batch: {max_age: 50ms}
devices:
  - {id: bench, driver: sim, every: 100ms, actuations: DIR/actuations}
  - {id: board, driver: sysfs, every: 500ms}
  - {id: programs, driver: ingest, socket: DIR/ingest.sock}
`

func startService(t *testing.T, dir, url string) *running {
	t.Helper()
	return startServiceWith(t, dir, strings.Replace(configText, "BROKER", url, 1))
}

// startServiceWith takes a whole config, and changes to it that no file may make.
func startServiceWith(t *testing.T, dir, text string, changes ...func(*Loaded)) *running {
	t.Helper()
	return startBuilt(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), dir, text, changes...)
}

// startBuilt takes the time of the build, too.
func startBuilt(t *testing.T, built time.Time, dir, text string, changes ...func(*Loaded)) *running {
	t.Helper()
	file := filepath.Join(dir, "fieldpost.yaml")
	text = strings.ReplaceAll(text, "DIR", dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(loaded)
	}
	r := &running{dir: dir, logs: &syncBuffer{}, ended: make(chan error, 1)}
	s, err := New(loaded, Build{Version: "test", Time: built}, slog.New(slog.NewTextHandler(r.logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "api.sock"))
		},
	}}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.ended <- s.Run(ctx, Process{})
	}()
	t.Cleanup(func() {
		cancel()
		for range r.ended { // it writes to the last
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.logs)
		}
	})
	return r
}

// stop ends the service and returns what Run returned.
func (r *running) stop(t *testing.T) error {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("the service does not stop\n%s", r.logs)
		return nil
	}
}

// call asks the API; it returns the code and the body.
func (r *running) call(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://fieldpost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func eventually(t *testing.T, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute) // a hub that was away is asked again after a minute or so
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err := holds(); err != nil; err = holds() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-tick.C
	}
}

func (r *running) awaitConnected(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		var s Status
		code, body := r.call(t, http.MethodGet, "/v1/status", "")
		if code != http.StatusOK || json.Unmarshal([]byte(body), &s) != nil || !s.Upstream.Connected {
			return fmt.Errorf("not connected: %d %s", code, body)
		}
		return nil
	})
}

// TestGatewayOnAPlainBroker is the whole line with `type: mqtt`: readings out,
// a command in, its result back, presence, and a stop that leaves nothing.
func TestGatewayOnAPlainBroker(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	before := ownGoroutines()
	r := startService(t, dir, b.url)
	r.awaitConnected(t)
	eventually(t, func() error {
		if all := strings.Join(b.on("fieldpost/gw/telemetry"), ""); !strings.Contains(all, `"device":"bench"`) || !strings.Contains(all, `"device":"board"`) {
			return errors.New("no readings of both devices yet")
		}
		return nil
	})
	if got := b.on("fieldpost/gw/status"); len(got) == 0 || got[len(got)-1] != "online" {
		t.Errorf("presence %q, want online", got)
	}
	command := `{"id":"c1","device":"bench","action":"relay","args":{"on":true}}`
	if err := b.server.Publish("fieldpost/gw/commands", []byte(command), false, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if all := strings.Join(b.on("fieldpost/gw/results"), ""); !strings.Contains(all, `"correlation":"c1"`) || !strings.Contains(all, `"status":"done"`) {
			return fmt.Errorf("no result yet: %s", all)
		}
		return nil
	})
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	eventually(t, func() error { // the broker's side takes a moment
		if got := b.on("fieldpost/gw/status"); got[len(got)-1] != "offline" {
			return fmt.Errorf("presence %q, want offline", got)
		}
		return nil
	})
	leavesNone(t, before)
}

// leavesNone waits until there are no more goroutines of the gateway than before.
func leavesNone(t *testing.T, before []string) {
	t.Helper()
	eventually(t, func() error {
		if after := ownGoroutines(); len(after) > len(before) {
			return fmt.Errorf("left behind:\n%s", strings.Join(after, "\n\n"))
		}
		return nil
	})
}

// ownGoroutines are those that run code of this project, the tests' excepted.
func ownGoroutines() (stacks []string) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "fieldpost/fieldpost/") && !strings.Contains(stack, "_test.go") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func TestAPIRefusesWhatItCannotUnderstand(t *testing.T) {
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	cases := []struct {
		method, path, body string
		code               int
		want               string
	}{
		{http.MethodPost, "/v1/do", `{"device":"bench"`, 400, "command: "},
		{http.MethodPost, "/v1/do", `{"device":"bench","action":"relay","force":true}`, 400, `unknown field`},
		{http.MethodPost, "/v1/do", `{"device":"bench","action":"relay","args":{"x":"` + strings.Repeat("x", 70_000) + `"}}`, 400, "too large"},
		{http.MethodPost, "/v1/do", `{"device":"bench","action":"relay","args":{"on":[1]}}`, 400, "want true, false, a number or a string"},
		{http.MethodGet, "/v1/queue/messages?lane=nowhere&limit=1", "", 400, "there is alerts"},
		{http.MethodGet, "/v1/queue/messages?lane=telemetry&limit=0", "", 400, "limit from 1 to 1000"},
		{http.MethodGet, "/v1/queue/messages?lane=telemetry&limit=1&from=-1", "", 400, "want numbers"},
		{http.MethodGet, "/v1/nothing", "", 404, ""},
		{http.MethodDelete, "/v1/status", "", 405, ""},
	}
	for _, c := range cases {
		if code, body := r.call(t, c.method, c.path, c.body); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.method, c.path, code, body, c.code, c.want)
		}
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestSocketOfACrashIsReplaced, and what is no socket is left alone.
func TestSocketOfACrashIsReplaced(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "api.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	r := startService(t, dir, b.url)
	r.awaitConnected(t)
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = startService(t, dir, b.url)
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), "is there and no socket") {
			t.Errorf("Run returned %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it runs")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file holds %q (%v)", text, err)
	}
}

// TestOutputsAreSafeAtStartAndStop: the relay is off whatever happened before.
func TestOutputsAreSafeAtStartAndStop(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	r := startService(t, dir, b.url)
	r.awaitConnected(t)
	code, body := r.call(t, http.MethodPost, "/v1/do", `{"device":"bench","action":"relay","args":{"on":true}}`)
	var result gateway.Result
	if err := json.Unmarshal([]byte(body), &result); err != nil || code != http.StatusOK || result.Status != gateway.StatusDone {
		t.Fatalf("do: %d %s", code, body)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "actuations"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if first, last := lines[0], lines[len(lines)-1]; !strings.Contains(first, "safe") || !strings.Contains(last, "safe") {
		t.Errorf("first %q and last %q, want the safe state in both of\n%s", first, last, text)
	}
}
