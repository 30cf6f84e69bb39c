package systemtest

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tool runs fieldpost as a person would, with the sockets of this gateway, and
// returns all that it printed.
func (g *gateway) tool(t testing.TB, wantCode int, args ...string) string {
	t.Helper()
	cmd := exec.Command(program(t, "fieldpost"), args...)
	cmd.Env = append(cmd.Environ(), "FIELDPOST_SOCKET="+g.socket(), "FIELDPOST_INGEST="+filepath.Join(g.dir, "ingest.sock"))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Errorf("fieldpost %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, wantCode, out)
	}
	return string(out)
}

func wantAll(t *testing.T, what, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q in:\n%s", what, want, out)
		}
	}
}

// TestCommandLine walks through the verbs against a running gateway.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	g.awaitConnected(t)

	wantAll(t, "status", g.tool(t, 0, "status"), "gw  fieldpost", "iothub localhost/gw, connected", "telemetry", "bench", "memory")
	var s status
	if err := json.Unmarshal([]byte(g.tool(t, 0, "status", "--json")), &s); err != nil || s.Queue.Store == "" {
		t.Errorf("status --json: %v", err)
	}
	wantAll(t, "devices", g.tool(t, 0, "devices"), "bench", "sim", "board", "sysfs", "programs", "ingest")
	wantAll(t, "devices bench", g.tool(t, 0, "devices", "bench"), "fieldpost do bench relay on=true|false", "bool")
	wantAll(t, "devices nobody", g.tool(t, 1, "devices", "nobody"), `no device "nobody"`, "bench, board, programs")
	wantAll(t, "do", g.tool(t, 0, "do", "bench", "relay", "on=true"), "bench relay: done", `"relay":true`)
	wantAll(t, "do, bad argument", g.tool(t, 1, "do", "bench", "relay", "on=maybe"), "denied", "want bool")
	wantAll(t, "do, no argument", g.tool(t, 1, "do", "bench", "relay"), "denied", "on: missing")
	wantAll(t, "do, nonsense", g.tool(t, 2, "do", "bench", "relay", "on"), "want name=value")
	wantAll(t, "send", g.tool(t, 0, "send", "level=3.2", "door=true"), s.Queue.Store+"-telemetry-")
	wantAll(t, "queue stats", g.tool(t, 0, "queue", "stats"), "telemetry", "alerts", "store "+s.Queue.Store)
	wantAll(t, "queue ls", g.tool(t, 0, "queue", "ls", "gaps"), "nothing waits in lane gaps")
	exported := g.tool(t, 0, "queue", "export", "deadletter")
	if exported != "" {
		t.Errorf("export of an empty lane: %s", exported)
	}
	wantAll(t, "queue ls nowhere", g.tool(t, 1, "queue", "ls", "nowhere"), "there is alerts, deadletter")
	wantAll(t, "check", g.tool(t, 0, "check", "--config", g.config), "right, 3 devices")
	wantAll(t, "version", g.tool(t, 0, "version"), "fieldpost ", "linux/")
	wantAll(t, "help", g.tool(t, 0, "--help"), "fieldpost status", "Exit codes", "run", "check", "queue", "devices", "do", "send")
	wantAll(t, "unknown verb", g.tool(t, 2, "frobnicate"), "Try: fieldpost --help")

	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	wantAll(t, "status without a gateway", g.tool(t, 69, "status"), "no gateway at "+g.socket(), "systemctl start fieldpost")
	wantAll(t, "send without a gateway", g.tool(t, 69, "send", "level=1"), "ingest.sock")
}

// TestExport writes more than a page of waiting messages, each once and in
// order, as JSON.
func TestExport(t *testing.T) {
	const messages = 1200
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h, h.device(t, "gw"), "HostName=localhost:1;DeviceId=gw;SharedAccessKey=a2V5") // nobody there
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i := range messages {
		lines = append(lines, fmt.Sprintf(`{"device":"d","name":"n","value":%d}`, i))
	}
	if answers, err := g.ingest(lines); err != nil || len(answers) != messages {
		t.Fatalf("%d answers: %v", len(answers), err)
	}
	next := 0
	for line := range strings.Lines(g.tool(t, 0, "queue", "export")) {
		var m struct {
			ID   string
			Body struct {
				Readings []struct {
					Device string
					Value  any
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.ID == "" {
			t.Fatalf("%s: %v", line, err)
		}
		if r := m.Body.Readings[0]; r.Device == "d" {
			if r.Value != float64(next) {
				t.Fatalf("value %v, want %d", r.Value, next)
			}
			next++
		}
	}
	if next != messages {
		t.Errorf("%d messages, want %d", next, messages)
	}
}

// TestSchemaIsJSON: editors get what `check --schema` prints.
func TestSchemaIsJSON(t *testing.T) {
	g := &gateway{dir: t.TempDir()}
	var schema map[string]any
	if err := json.Unmarshal([]byte(g.tool(t, 0, "check", "--schema")), &schema); err != nil || schema["$schema"] == nil {
		t.Errorf("check --schema: %v", err)
	}
}
