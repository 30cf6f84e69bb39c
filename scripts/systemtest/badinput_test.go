package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWrongKey: the hub does not know the key. The gateway says what to check,
// tries again seldom, and goes on storing.
func TestWrongKey(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	key := "SharedAccessKey=" + after(h.device(t, "gw"), "SharedAccessKey=")
	g := newGateway(t, dir, h, key, "SharedAccessKey=d3Jvbmc=")
	s := g.awaitCondition(t, "uplink-refused")
	if summary := s.condition("uplink-refused"); !strings.Contains(summary, "the key, and that the clock of this board is right") {
		t.Errorf("the condition says %q", summary)
	}
	if wait := s.Upstream.NextAttempt.Sub(s.Now); wait < 30*time.Second {
		t.Errorf("the next attempt is in %v, want the slow end of the back-off", wait)
	}
	answers, err := g.ingest([]string{`{"name":"level","value":1}`})
	if err != nil || len(answers) != 1 || !strings.Contains(answers[0], `"id"`) {
		t.Errorf("a reading was answered %q (%v), want an id", answers, err)
	}
	if n := strings.Count(string(tail(g.log, 1000)), "uplink refused"); n != 1 {
		t.Errorf("%d log lines about the refusal, want 1", n)
	}
	if text := string(tail(g.log, 1000)); strings.Contains(text, "d3Jvbmc=") {
		t.Error("the log holds the key")
	}
}

// TestUntrustedCertificate: the hub's certificate comes from a CA that nobody
// here knows.
func TestUntrustedCertificate(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h, "    ca_file: "+h.info.CA+"\n", "")
	s := g.awaitCondition(t, "uplink-offline")
	if summary := s.condition("uplink-offline"); !strings.Contains(summary, "not trusted here; set ca_file") {
		t.Errorf("the condition says %q", summary)
	}
	if len(h.events(t)) > 0 {
		t.Error("something was sent all the same")
	}
}

// TestMalformedCommands: whatever is no command is acknowledged, kept as a
// dead letter and reported, and does not hold up the next one.
func TestMalformedCommands(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	bad := map[string]string{
		"text":    `switch it on`,
		"bytes":   "\xff\xfe\x00",
		"empty":   ``,
		"half":    `{"device":"bench","action":`,
		"unknown": `{"device":"bench","action":"relay","args":{"on":true},"force":true}`,
		"list":    `[{"device":"bench","action":"relay"}]`,
		"nested":  `{"device":"bench","action":"relay","args":{"on":{"really":true}}}`,
	}
	denied := map[string]string{
		"nodevice": `{"device":"nobody","action":"relay","args":{"on":true}}`,
		"noaction": `{"device":"bench","action":"explode","args":{}}`,
		"badarg":   `{"device":"bench","action":"relay","args":{"on":"yes"}}`,
		"range":    `{"device":"bench","action":"pulse","args":{"ms":100000}}`,
		"sensor":   `{"device":"board","action":"relay","args":{"on":true}}`,
	}
	for id, body := range bad {
		mustSend(t, h, id, body)
	}
	for id, body := range denied {
		mustSend(t, h, id, body)
	}
	mustSend(t, h, "good", `{"device":"bench","action":"relay","args":{"on":true}}`)

	results := awaitResults(t, h, len(bad)+len(denied)+1)
	for id := range bad {
		if r := results[id]; r.Status != "denied" || !strings.HasPrefix(r.Detail, "malformed: ") {
			t.Errorf("%s: %+v, want denied as malformed", id, r)
		}
	}
	for id := range denied {
		if r := results[id]; r.Status != "denied" || r.Detail == "" {
			t.Errorf("%s: %+v, want denied with a reason", id, r)
		}
	}
	if results["good"].Status != "done" {
		t.Errorf("the good command: %+v, want done", results["good"])
	}
	c := &commander{h: h}
	eventually(t, 10*time.Second, func() error {
		if n, err := c.open(); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%d messages are not acknowledged", n))
		}
		return nil
	})
	out := g.tool(t, 0, "queue", "ls", "deadletter", "--json")
	if n := strings.Count(out, `"kind":"deadletter"`); n != len(bad) {
		t.Errorf("%d dead letters, want %d:\n%s", n, len(bad), out)
	}
}

func mustSend(t *testing.T, h *hub, id, body string) {
	t.Helper()
	if err := h.sendC2D("gw", id, body); err != nil {
		t.Fatal(err)
	}
}

type result struct{ Command, Status, Detail string }

// awaitResults waits until so many commands have a result at the hub.
func awaitResults(t *testing.T, h *hub, n int) map[string]result {
	t.Helper()
	results := make(map[string]result)
	eventually(t, 20*time.Second, func() error {
		for _, e := range h.events(t) {
			if e.Properties["kind"] != "result" {
				continue
			}
			var r result
			if err := json.Unmarshal(e.Body, &r); err != nil {
				t.Fatal(err)
			}
			if r.Command != e.System["correlation-id"] {
				t.Fatalf("result of %s is correlated with %q", r.Command, e.System["correlation-id"])
			}
			results[r.Command] = r
		}
		if len(results) < n {
			return fmt.Errorf("%d results, want %d", len(results), n)
		}
		return nil
	})
	return results
}

// TestExpiredAndRepeatedCommands: one that came too late is reported and not
// carried out; one that comes twice is carried out once and answered twice.
func TestExpiredAndRepeatedCommands(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	g.awaitConnected(t)
	pulse := `{"device":"bench","action":"pulse","args":{"ms":5}}`
	mustSend(t, h, "again", pulse)
	awaitResults(t, h, 1)
	for range 2 {
		mustSend(t, h, "again", pulse)
	}
	mustSend(t, h, "slow", `{"device":"bench","action":"pulse","args":{"ms":500}}`)
	// It reaches the gateway in time and is due only after the slow one.
	expiry := time.Now().Add(300 * time.Millisecond).UTC().Format(time.RFC3339Nano)
	if err := h.post("/devices/gw/messages/devicebound?api-version=2021-04-12", pulse, map[string]string{
		"iothub-messageid": "late", "iothub-expiry": expiry,
	}); err != nil {
		t.Fatal(err)
	}
	results := awaitResults(t, h, 3)
	if results["again"].Status != "done" || results["slow"].Status != "done" || results["late"].Status != "expired" {
		t.Errorf("results %+v, want again and slow done, late expired", results)
	}
	eventually(t, 10*time.Second, func() error {
		answers := 0
		for _, e := range h.events(t) {
			if e.System["correlation-id"] == "again" {
				answers++
			}
		}
		if answers != 3 {
			return fmt.Errorf("%d answers to the repeated command, want 3", answers)
		}
		return nil
	})
	if times := actuations(t, dir); times["again"] != 1 || times["late"] != 0 {
		t.Errorf("carried out: %v, want again once and late never", times)
	}
}

// TestStoreCannotBeOpened: each reason is named, with what to do about it, and
// ends the start with code 1.
func TestStoreCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	first := newGateway(t, dir, h)
	if _, err := first.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ dataDir, want string }{
		"locked":      {dir + "/data", "is fieldpost running already?"},
		"unwritable":  {"/proc/fieldpost", "give the user of this process the right to write there"},
		"not a place": {file, "store directory"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			second := prepareGateway(t, t.TempDir(), h, "data_dir: ", "data_dir: "+c.dataDir+" # ")
			second.start(t)
			if code := second.process.wait(t, 20*time.Second); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if text := string(tail(second.log, 50)); !strings.Contains(text, c.want) || !strings.Contains(text, c.dataDir) {
				t.Errorf("want %q and the directory in:\n%s", c.want, text)
			}
		})
	}
	if _, err := first.status(); err != nil {
		t.Errorf("the first gateway suffered: %v", err)
	}
}

// TestDamagedStore: a gateway never fails to start because of its queue. It
// sets the damaged one aside, says so, and goes on with a new one.
func TestDamagedStore(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	g.process.kill()
	manifest := filepath.Join(dir, "data", "queue", "MANIFEST")
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 0xff
	if err := os.WriteFile(manifest, text, 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	answers, err := g.ingestWhenUp(t)
	if err != nil || !strings.Contains(answers[0], `"id"`) {
		t.Errorf("answered %q (%v), want an id", answers, err)
	}
	s := g.awaitCondition(t, "queue-damaged")
	aside, err := filepath.Glob(filepath.Join(dir, "data", "queue.damaged-*", "MANIFEST"))
	if err != nil || len(aside) != 1 || !strings.Contains(s.condition("queue-damaged"), filepath.Dir(aside[0])) {
		t.Errorf("set aside: %v (%v); the condition says %q", aside, err, s.condition("queue-damaged"))
	}
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// TestNoRoomOnDisk: with less free than min_free nothing is accepted, what
// hands readings in is told why, and the gateway stays up.
func TestNoRoomOnDisk(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h, "min_free: 64MB", "min_free: 900000GB")
	answers, err := g.ingestWhenUp(t)
	if err != nil || !strings.Contains(answers[0], "queue.min_free") {
		t.Errorf("answered %q (%v), want the reason", answers, err)
	}
	s := g.awaitCondition(t, "queue-refuses")
	if summary := s.condition("queue-refuses"); !strings.Contains(summary, "delete files there") {
		t.Errorf("the condition says %q", summary)
	}
	if code := g.process.terminate(t, 20*time.Second); code != 0 && code != 1 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// ingestWhenUp hands one reading in as soon as the gateway takes any.
func (g *gateway) ingestWhenUp(t testing.TB) (answers []string, err error) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if answers, err = g.ingest([]string{`{"name":"level","value":1}`}); err == nil && len(answers) == 0 {
			return fmt.Errorf("no answer")
		}
		return err
	})
	return answers, err
}

// TestBadConfigEndsWith78: check and run say the same, with the place.
func TestBadConfigEndsWith78(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := prepareGateway(t, dir, h, "driver: sysfs", "driver: sisfs", "max_bytes: 128MB", "max_bytes: plenty")
	for _, verb := range []string{"check", "run"} {
		out := g.tool(t, 78, verb, "--config", g.config)
		for _, want := range []string{g.config + ":10:14: queue.max_bytes: ", "plenty", g.config + ":18:25: devices[board].driver: ", "sisfs", "sysfs"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: want %q in:\n%s", verb, want, out)
			}
		}
	}
	missing := g.tool(t, 78, "check", "--config", filepath.Join(dir, "nowhere.yaml"))
	if !strings.Contains(missing, "nowhere.yaml") {
		t.Errorf("a missing file: %s", missing)
	}
}

func after(s, mark string) string {
	_, rest, _ := strings.Cut(s, mark)
	return rest
}
