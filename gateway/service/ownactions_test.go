package service

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// do asks for an action over the local API.
func (r *running) do(t *testing.T, device, action, args string) gateway.Result {
	t.Helper()
	code, body := r.call(t, http.MethodPost, "/v1/do", fmt.Sprintf(`{"device":%q,"action":%q,"args":%s}`, device, action, args))
	var result gateway.Result
	if err := json.Unmarshal([]byte(body), &result); code != http.StatusOK || err != nil {
		t.Fatalf("do: %d %s", code, body)
	}
	return result
}

// unpacked is what a blob holds.
func (h *fileHub) unpacked(name string) io.Reader {
	h.t.Helper()
	text, ok := h.blob(name)
	if !ok {
		h.t.Fatalf("the storage has no %s", name)
	}
	r, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// TestCollectLogs: the bundle tells how the gateway does, and no secret.
func TestCollectLogs(t *testing.T) {
	h := startFileHub(t)
	r := startServiceWith(t, t.TempDir(), h.config(""))
	r.awaitConnected(t)
	result := r.do(t, "gateway", "collect-logs", `{"lines":10}`)
	blob, _ := result.Values["blob"].(string)
	if result.Status != gateway.StatusDone || result.Values["state"] != "done" || !strings.HasPrefix(blob, "gw/diagnostics/gw-") || !strings.HasSuffix(blob, ".tar.gz") {
		t.Fatalf("result %+v", result)
	}
	archive := tar.NewReader(h.unpacked(blob))
	files := map[string]string{}
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(text)
	}
	for name, want := range map[string]string{
		"version.json": `"version": "test"`, "status.json": `"gateway": "gw"`, "config.json": `"connection_string": "(secret)"`, "log.txt": "\n",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: want %s in\n%s", name, want, files[name])
		}
	}
	_, key, _ := strings.Cut(h.Info().Devices[0].ConnectionString, "SharedAccessKey=")
	for name, text := range files {
		if strings.Contains(text, key) || strings.Contains(text, "sig=") {
			t.Errorf("%s tells a secret", name)
		}
	}
	var config struct {
		Devices   []map[string]any
		Upstreams []map[string]any
	}
	if err := json.Unmarshal([]byte(files["config.json"]), &config); err != nil || len(config.Devices) != 1 || config.Devices[0]["every"] != "1h0m0s" || config.Upstreams[0]["type"] != "iothub" {
		t.Errorf("config %+v, %v", config, err)
	}
}

// TestExportQueue: what waits is copied, and goes on waiting.
func TestExportQueue(t *testing.T) {
	h := startFileHub(t)
	r := startServiceWith(t, t.TempDir(), h.config(""))
	r.awaitConnected(t)
	h.fault(`{"kind":"drop-puback","count":1000}`)
	for range 3 {
		if result := r.do(t, "bench", "relay", `{"on":true}`); result.Status != gateway.StatusDone {
			t.Fatalf("result %+v", result)
		}
	}
	result := r.do(t, "gateway", "export-queue", `{"lane":"results","limit":2}`)
	blob, _ := result.Values["blob"].(string)
	if result.Status != gateway.StatusDone || !strings.HasPrefix(blob, "gw/queue/results-") {
		t.Fatalf("result %+v", result)
	}
	var seqs []uint64
	for lines := bufio.NewScanner(h.unpacked(blob)); lines.Scan(); {
		var m ExportedMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || m.Lane != "results" || !strings.Contains(string(m.Body), `"status":"done"`) {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		seqs = append(seqs, m.Seq)
	}
	if fmt.Sprint(seqs) != "[1 2]" {
		t.Errorf("exported %v, want the first two", seqs)
	}
	for args, want := range map[string]string{
		`{}`: "lane: missing", `{"lane":"nowhere"}`: "there is", `{"lane":"results","limit":0}`: "limit: 0 is not allowed",
	} {
		if result := r.do(t, "gateway", "export-queue", args); result.Status != gateway.StatusDenied || !strings.Contains(result.Detail, want) {
			t.Errorf("%s: %+v", args, result)
		}
	}
	if code, body := r.call(t, http.MethodGet, "/v1/devices", ""); code != 200 || !strings.Contains(body, `"name":"collect-logs"`) {
		t.Errorf("devices: %d %s", code, body)
	}
}

// TestActionByMethod: a back end asks for the bundle with a direct method.
func TestActionByMethod(t *testing.T) {
	h := startHub(t)
	file := &fileHub{Hub: h.Hub, t: t, client: h.client}
	r := startServiceWith(t, t.TempDir(), file.config(""))
	r.awaitConnected(t)
	var status int
	var answer map[string]any
	eventually(t, func() error { // the subscription to methods comes after the connection
		if status, answer = h.invoke(t, "gateway.collect-logs", `null`); status != 200 {
			return fmt.Errorf("%d %v", status, answer)
		}
		return nil
	})
	if text := fmt.Sprint(answer); !strings.Contains(text, "gw/diagnostics/gw-") {
		t.Errorf("answer %v", answer)
	}
}

// TestActionsWithoutFiles: on a plain broker the gateway says why it cannot.
func TestActionsWithoutFiles(t *testing.T) {
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	if result := r.do(t, "gateway", "collect-logs", `{}`); result.Status != gateway.StatusDenied || !strings.Contains(result.Detail, "need an upstream of type iothub") {
		t.Errorf("result %+v", result)
	}
}

// TestActionAndStop: the gateway is stopped while an action waits for its upload.
// There is one upload, and one result.
func TestActionAndStop(t *testing.T) {
	h := startFileHub(t)
	h.fault(`{"kind":"fail-block","code":503,"count":1000}`)
	dir := t.TempDir()
	r := startServiceWith(t, dir, h.config(""))
	r.awaitConnected(t)
	if status, text := h.call(http.MethodPost, "/devices/gw/messages/devicebound?api-version=2021-04-12", `{"device":"gateway","action":"collect-logs"}`); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
	eventually(t, func() error {
		if list := spoolOf(t, dir, ".json"); len(list) != 1 {
			return fmt.Errorf("in the spool: %v", list)
		}
		return nil
	})
	if err := r.stop(t); err != nil { // while the action waits for its upload
		t.Fatal(err)
	}
	if status, text := h.call(http.MethodDelete, "/hubsim/faults", ""); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
	r = startServiceWith(t, dir, h.config(""))
	eventually(t, func() error {
		_, events := h.call(http.MethodGet, "/hubsim/events", "")
		if n := strings.Count(events, `"action":"collect-logs","status":"done"`); n != 1 {
			return fmt.Errorf("%d results", n)
		}
		return nil
	})
	eventually(t, func() error {
		if _, uploads := h.call(http.MethodGet, "/hubsim/uploads", ""); strings.Count(uploads, `"isSuccess":true`) != 1 {
			return fmt.Errorf("uploads: %s", uploads)
		}
		return nil
	})
	if list := spoolOf(t, dir, ".json"); len(list) != 1 {
		t.Errorf("uploads: %v", list)
	}
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
}

// TestCancel ends a command that is carried out, by the API and by the action. It
// lasts half a second, so that a busy machine may need some attempts.
func TestCancel(t *testing.T) {
	r := startService(t, t.TempDir(), "mqtt://127.0.0.1:1") // nobody there
	eventually(t, func() error { _, err := os.Stat(filepath.Join(r.dir, "api.sock")); return err })
	for want, cancel := range map[string]func(id string) string{
		"cancelled by a user of this board": func(id string) string {
			_, body := r.call(t, http.MethodPost, "/v1/commands/cancel", fmt.Sprintf(`{"id":%q}`, id))
			return body
		},
		"cancelled by command local-": func(id string) string {
			return fmt.Sprintf("%+v", r.do(t, "gateway", "cancel", fmt.Sprintf(`{"command":%q}`, id)))
		},
	} {
		const attempts = 20
		for attempt := 1; ; attempt++ {
			id, result := r.cancelPulse(t, cancel)
			if code, body := r.call(t, http.MethodPost, "/v1/commands/cancel", fmt.Sprintf(`{"id":%q}`, id)); code != http.StatusNotFound || !strings.Contains(body, "has ended before") {
				t.Errorf("one that has ended: %d %s", code, body)
			}
			if result.Status == gateway.StatusFailed && strings.Contains(result.Detail, want) {
				break
			}
			if result.Status != gateway.StatusDone || attempt == attempts {
				t.Fatalf("%+v", result)
			}
		}
	}
	if result := r.do(t, "gateway", "cancel", `{"command":"nobody"}`); result.Status != gateway.StatusDenied {
		t.Errorf("an unknown one: %+v", result)
	}
}

// cancelPulse begins a command, cancels it and returns what became of it.
func (r *running) cancelPulse(t *testing.T, cancel func(id string) (said string)) (id string, result gateway.Result) {
	t.Helper()
	done := make(chan gateway.Result, 1)
	go func() { done <- r.do(t, "bench", "pulse", `{"ms":500}`) }()
	for {
		var newest []CommandRecord
		_, body := r.call(t, http.MethodGet, "/v1/commands?limit=1&device=bench", "")
		if err := json.Unmarshal([]byte(body), &newest); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if len(newest) == 1 && newest[0].Status == statusStarted {
			id = newest[0].ID
			break
		}
		select {
		case result := <-done: // it was too quick
			return newest[0].ID, result
		default:
		}
	}
	said := cancel(id)
	if result = <-done; result.Status == gateway.StatusFailed && !strings.Contains(said, "cancelled by") {
		t.Errorf("who has cancelled is told %s", said)
	}
	return id, result
}
