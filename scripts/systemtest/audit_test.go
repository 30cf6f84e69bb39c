package systemtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stored writes all that the hub has received into a file, as a back end would
// that keeps everything.
func (h *hub) stored(t *testing.T, file string) {
	t.Helper()
	resp, err := h.request(http.MethodGet, "/hubsim/events?limit=100000", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustIngest hands in n readings that are all accepted.
func (g *gateway) mustIngest(t *testing.T, n int) {
	t.Helper()
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"name":"n","value":%d}`, i)
	}
	if answers, err := g.ingest(lines); err != nil || len(answers) != n {
		t.Fatalf("%d answers: %v", len(answers), err)
	}
}

// TestAudit proves with the program itself that nothing is missing: while the
// gateway runs, when it stands still, after kill -9 and after a purge; and that
// a message that is taken away is missed.
func TestAudit(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	g.awaitConnected(t)
	g.mustIngest(t, 200)
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Fatalf("exit code %d after SIGTERM", code)
	}
	file := filepath.Join(dir, "stored.ndjson")
	h.stored(t, file)
	against := []string{"audit", file, "--against", filepath.Join(dir, "data"), "--config", g.config}
	wantAll(t, "audit", g.tool(t, 0, "audit", file), "telemetry", "gw", "complete")
	wantAll(t, "audit --against", g.tool(t, 0, against...), "accepted", "none missing")

	// From now on the hub is out of reach.
	text, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	nobody := bytes.Replace(text, []byte(h.device(t, "gw")), []byte("HostName=localhost:1;DeviceId=gw;SharedAccessKey=a2V5"), 1)
	if err := os.WriteFile(g.config, nobody, 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	g.mustIngest(t, 300)
	g.auditAtLeast(t, file, 300)
	wantAll(t, "verify", g.tool(t, 0, "queue", "verify"), "messages read")
	wantAll(t, "purge without a yes", g.tool(t, 2, "queue", "purge", "telemetry"), "--yes")
	wantAll(t, "purge", g.tool(t, 0, "queue", "purge", "telemetry", "--yes"), "given up")
	wantAll(t, "audit of a purged queue", g.tool(t, 0, "audit", file, "--daemon"), "none missing")
	wantAll(t, "dead letters", g.tool(t, 0, "deadletters", "ls"), "there are no dead letters")
	g.mustIngest(t, 50)
	g.auditAtLeast(t, file, 50)

	g.process.kill()
	wantAll(t, "audit after kill -9", g.tool(t, 0, against...), "none missing")
	wantAll(t, "verify after kill -9", g.tool(t, 0, "queue", "verify", "--config", g.config), "messages read")

	first, rest, _ := strings.Cut(readText(t, file), "\n")
	if err := os.WriteFile(file, []byte(rest), 0o600); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "audit without "+first, g.tool(t, 1, against...), "missing and not explained: ", "NOT complete: 1 messages")
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// auditAtLeast compares with the running gateway, which holds at least so many
// messages.
func (g *gateway) auditAtLeast(t *testing.T, file string, queued uint64) {
	t.Helper()
	var r struct {
		Complete bool
		Lanes    []struct {
			Lane                          string
			Accepted, Received, Explained uint64
			Queued, Unexplained           uint64
		}
	}
	out := g.tool(t, 0, "audit", "--json", "--daemon", file)
	if err := json.Unmarshal([]byte(out), &r); err != nil || !r.Complete {
		t.Errorf("%s: %v", out, err)
	}
	for _, l := range r.Lanes {
		if l.Accepted != l.Received+l.Explained+l.Queued+l.Unexplained || l.Lane == "telemetry" && l.Queued < queued {
			t.Errorf("lane %+v: want the sum, and %d in the queue", l, queued)
		}
	}
}
