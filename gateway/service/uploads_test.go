package service

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/hubsim"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// fileHub is a hub simulator, and a client of its HTTPS side.
type fileHub struct {
	*hubsim.Hub
	t      *testing.T
	dir    string
	client *http.Client
}

func startFileHub(t *testing.T) *fileHub {
	t.Helper()
	h := &fileHub{t: t, dir: t.TempDir()}
	h.start(hubsim.Options{})
	pem, err := os.ReadFile(h.Info().CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	h.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
	return h
}

func (h *fileHub) start(o hubsim.Options) {
	h.t.Helper()
	o.Data, o.Devices, o.Log = h.dir, []string{"gw"}, slog.New(slog.DiscardHandler)
	var err error
	if h.Hub, err = hubsim.Start(h.t.Context(), o); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = h.Close() })
}

// call asks the hub.
func (h *fileHub) call(method, path, body string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.Info().HTTPS+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (h *fileHub) fault(body string) {
	h.t.Helper()
	if status, text := h.call(http.MethodPost, "/hubsim/faults", body); status != http.StatusNoContent {
		h.t.Fatal(status, text)
	}
}

// blob is what the storage has under a name.
func (h *fileHub) blob(name string) (string, bool) {
	h.t.Helper()
	status, text := h.call(http.MethodGet, "/hubsim/blobs/"+(&url.URL{Path: name}).EscapedPath(), "")
	return text, status == http.StatusOK
}

// config is a gateway at this hub.
func (h *fileHub) config(more string) string {
	_, port, _ := net.SplitHostPort(h.Info().HTTPS)
	return fmt.Sprintf(`gateway: {id: gw, data_dir: DIR/data, socket: DIR/api.sock}
upstreams:
  - type: iothub
    connection_string: %q
    ca_file: %q
    https_port: %s
%s
queue: {max_bytes: 64MB, min_free: 64MB, commit: {max_age: 20ms}}
uploads: {max_bytes: 20MB}
devices:
  - {id: bench, driver: sim, every: 1h}
`, h.Info().Devices[0].ConnectionString, h.Info().CA, port, more)
}

// upload hands a file in.
func (r *running) upload(t *testing.T, name, content string) upload.Upload {
	t.Helper()
	code, body := r.call(t, http.MethodPost, "/v1/uploads?name="+url.QueryEscape(name), content)
	var up upload.Upload
	if code != http.StatusOK || json.Unmarshal([]byte(body), &up) != nil || up.ID == "" {
		t.Fatalf("upload: %d %s", code, body)
	}
	return up
}

// awaitUpload waits until an upload is in a state, and returns it.
func (r *running) awaitUpload(t *testing.T, id string, reached func(upload.Upload) bool) (up upload.Upload) {
	t.Helper()
	eventually(t, func() error {
		code, body := r.call(t, http.MethodGet, "/v1/uploads/"+id, "")
		if code != http.StatusOK || json.Unmarshal([]byte(body), &up) != nil || !reached(up) {
			return fmt.Errorf("upload: %d %s", code, body)
		}
		return nil
	})
	return up
}

func done(up upload.Upload) bool { return up.State == upload.Done }

// spoolOf lists the files of the spool.
func spoolOf(t *testing.T, dir, suffix string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "data", "uploads", "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestUploadSurvivesRestarts of the gateway and of the hub, and the end of its
// token: what the storage has is not sent again.
func TestUploadSurvivesRestarts(t *testing.T) {
	h := startFileHub(t)
	dir := t.TempDir()
	content := string(bytes.Repeat([]byte("0123456789abcde\n"), 300_000)) // 4.8 MB, 5 blocks
	h.fault(`{"kind":"hang-block","after":2}`)
	r := startServiceWith(t, dir, h.config(""))
	r.awaitConnected(t)
	up := r.upload(t, "logs/day 1.txt", content)
	r.awaitUpload(t, up.ID, func(up upload.Upload) bool { return up.Sent > 2<<20 }) // in the third block
	if err := r.stop(t); err != nil {
		t.Fatal(err)
	}
	info := h.Info()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h.start(hubsim.Options{MQTT: info.MQTT, HTTPS: info.HTTPS})
	h.fault(`{"kind":"expire-upload-token"}`)
	r = startServiceWith(t, dir, h.config(""))
	up = r.awaitUpload(t, up.ID, done)
	if up.Blob != "gw/logs/day 1.txt" {
		t.Errorf("upload %+v", up)
	}
	if got, ok := h.blob(up.Blob); !ok || got != content {
		t.Errorf("the storage has %d bytes, want %d", len(got), len(content))
	}
	if left := spoolOf(t, dir, ".data"); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
	var s Status
	_, body := r.call(t, http.MethodGet, "/v1/status", "")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	// Two of five blocks were there before, all of them would be 4.8 MB.
	if out := s.Upstream.Bytes.Uploads.Out; out < 2_600_000 || out > 3_500_000 {
		t.Errorf("after the restart %d bytes went out", out)
	}
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
	if status, text := h.call(http.MethodGet, "/hubsim/uploads", ""); status != 200 || strings.Count(text, `"isSuccess":true`) != 1 || strings.Count(text, `"isSuccess":false`) != 1 {
		t.Errorf("the hub knows %s", text)
	}
}

// TestUploadsOfTheAPI: what is wrong is told, with a status for programs.
func TestUploadsOfTheAPI(t *testing.T) {
	h := startFileHub(t)
	h.fault(`{"kind":"fail-upload","code":503,"count":1000}`)
	r := startServiceWith(t, t.TempDir(), h.config(""))
	r.awaitConnected(t)
	up := r.upload(t, "a.txt", "content")
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{http.MethodPost, "/v1/uploads?name=", "x", 400, "1 to 895"},
		{http.MethodPost, "/v1/uploads?name=../x", "x", 400, "end in a dot"},
		{http.MethodPost, "/v1/uploads?name=a&size=x", "x", 400, "want a number of bytes"},
		{http.MethodPost, "/v1/uploads?name=a&size=5", "x", 400, "1 bytes came, want 5"},
		{http.MethodPost, "/v1/uploads?name=a&size=30000000", "x", 507, "uploads.max_bytes is 20000000"},
		{http.MethodGet, "/v1/uploads/none", "", 404, "no such upload"},
		{http.MethodDelete, "/v1/uploads/none", "", 404, "no such upload"},
		{http.MethodGet, "/v1/uploads", "", 200, `"name":"a.txt"`},
		{http.MethodDelete, "/v1/uploads/" + up.ID, "", 200, `"state":"canceled"`},
		{http.MethodDelete, "/v1/uploads/" + up.ID, "", 400, "is canceled"},
	} {
		if code, body := r.call(t, c.method, c.path, c.body); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.method, c.path, code, body, c.code, c.want)
		}
	}
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
}

// TestPlainBrokersTakeNoFiles, and that is said.
func TestPlainBrokersTakeNoFiles(t *testing.T) {
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	if code, body := r.call(t, http.MethodPost, "/v1/uploads?name=a", "x"); code != http.StatusNotImplemented || !strings.Contains(body, "need an upstream of type iothub") {
		t.Errorf("%d %s", code, body)
	}
}

// TestUploadsKeepToTheRate and leave a word in the health of what is wrong.
func TestUploadsKeepToTheRate(t *testing.T) {
	h := startFileHub(t)
	r := startServiceWith(t, t.TempDir(), h.config("    max_rate: 200kB/s"))
	r.awaitConnected(t)
	begun := time.Now()
	up := r.awaitUpload(t, r.upload(t, "a", strings.Repeat("x", 600_000)).ID, done)
	// 600 kB and what it takes to send them; half a second may be made up for.
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("%d bytes went in %v", up.Bytes, took)
	}
}

func TestBlockBytes(t *testing.T) {
	for rate, want := range map[int64]int64{0: 1 << 20, 500: 64 << 10, 2000: 120_000, 1e6: 1 << 20} {
		if got := blockBytes(rate); got != want {
			t.Errorf("at %d bytes/s: %d, want %d", rate, got, want)
		}
	}
}
