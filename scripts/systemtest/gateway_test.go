package systemtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gateway is a fieldpost process, which can be killed and started again.
type gateway struct {
	dir, config, log string
	process          *process
	api              *http.Client
}

// newGateway writes a config for the hub and starts the gateway with it. The
// edits, pairs of old and new text, change the config.
func newGateway(t testing.TB, dir string, h *hub, edits ...string) *gateway {
	t.Helper()
	g := prepareGateway(t, dir, h, edits...)
	g.start(t)
	return g
}

// prepareGateway writes the config only.
func prepareGateway(t testing.TB, dir string, h *hub, edits ...string) *gateway {
	t.Helper()
	upstream := fmt.Sprintf(`  - type: iothub
    connection_string: %q
    ca_file: %s
`, h.device(t, "gw"), h.info.CA)
	return prepareGatewayFor(t, dir, upstream, edits...)
}

// prepareGatewayFor writes a config with this entry of upstreams.
func prepareGatewayFor(t testing.TB, dir, upstream string, edits ...string) *gateway {
	t.Helper()
	g := &gateway{dir: dir, config: filepath.Join(dir, "fieldpost.yaml"), log: filepath.Join(dir, "fieldpost.log")}
	text := fmt.Sprintf(`gateway:
  id: gw
  data_dir: %[1]s/data
  socket: %[1]s/api.sock
upstreams:
%[2]squeue:
  max_bytes: 128MB
  min_free: 64MB
  commit: {max_age: 100ms}
  lanes: {telemetry: {backfill: order}} # which a woven backlog has none of
batch:
  max_age: 100ms
devices:
  - {id: bench, driver: sim, every: 100ms, actuations: %[1]s/actuations}
  - {id: board, driver: sysfs, every: 500ms}
  - {id: programs, driver: ingest, socket: %[1]s/ingest.sock}
`, dir, upstream)
	g.write(t, edited(t, text, edits...))
	g.api = unixClient(g.socket())
	return g
}

// edited is a text with changes, pairs of old and new text.
func edited(t testing.TB, text string, edits ...string) string {
	t.Helper()
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the config has no %q", edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	return text
}

// write gives the gateway another config, which it does not know of yet.
func (g *gateway) write(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) socket() string { return filepath.Join(g.dir, "api.sock") }

func unixClient(socket string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
}

func (g *gateway) start(t testing.TB) {
	t.Helper()
	g.process = spawn(t, g.log, program(t, "fieldpost"), "run", "--config", g.config)
}

// status asks the running gateway how it does.
func (g *gateway) status() (status, error) {
	var s status
	resp, err := g.api.Get("http://fieldpost/v1/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("status: %s", resp.Status)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// status is what the tests look at of service.Status.
type status struct {
	Now        time.Time
	Conditions []struct{ Code, Summary string }
	Upstream   struct {
		Connected    bool
		NextAttempt  time.Time `json:"next_attempt"`
		Published    uint64
		Acknowledged uint64
		Resent       uint64
		// Bytes by purpose, each way.
		Bytes map[string]map[string]int64
	}
	Queue struct {
		Store string
		Lanes []struct {
			Lane    string
			Waiting uint64
			Next    uint64
			Lost    uint64
		}
	}
	Commands struct{ Waiting int }
	Devices  []struct {
		ID, State string
		Reads     uint64
		Firmware  *struct{ From, To, Phase string }
	}
	Memory struct {
		RSSBytes int64 `json:"rss_bytes"`
	}
}

// condition is the summary of a health condition; empty if it is not raised.
func (s status) condition(code string) string {
	for _, c := range s.Conditions {
		if c.Code == code {
			return c.Summary
		}
	}
	return ""
}

// awaitCondition waits until a condition is raised and returns the status.
func (g *gateway) awaitCondition(t testing.TB, code string) status {
	t.Helper()
	var s status
	eventually(t, 20*time.Second, func() (err error) {
		if s, err = g.status(); err == nil && s.condition(code) == "" {
			err = fmt.Errorf("condition %s is not raised; there are %v", code, s.Conditions)
		}
		return err
	})
	return s
}

// awaitConnected waits until the gateway has reached the hub.
func (g *gateway) awaitConnected(t testing.TB) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		s, err := g.status()
		if err == nil && !s.Upstream.Connected {
			err = fmt.Errorf("not connected: %v", s.Conditions)
		}
		return err
	})
}

func (s status) waiting() (n uint64) {
	for _, l := range s.Queue.Lanes {
		if l.Lane != "deadletter" {
			n += l.Waiting
		}
	}
	return n
}

// ingest hands lines in and returns the answers; a broken connection returns
// those that came until then.
func (g *gateway) ingest(lines []string) (answers []string, err error) {
	conn, err := net.DialTimeout("unix", filepath.Join(g.dir, "ingest.sock"), time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		w := bufio.NewWriter(conn)
		for _, line := range lines {
			if _, err := w.WriteString(line + "\n"); err != nil {
				sent <- err
				return
			}
		}
		sent <- w.Flush()
	}()
	in := bufio.NewScanner(conn)
	for len(answers) < len(lines) && in.Scan() {
		answers = append(answers, in.Text())
	}
	conn.Close() // frees the writer too, if it is stuck
	if err := <-sent; err != nil && len(answers) < len(lines) {
		return answers, err
	}
	return answers, in.Err()
}
