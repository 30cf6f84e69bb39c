package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/hubsim"
)

// hub is a real one, and a client for its own routes.
type hub struct {
	*hubsim.Hub
	t      *testing.T
	client *http.Client
}

func startHub(t *testing.T) *hub {
	t.Helper()
	h, err := hubsim.Start(t.Context(), hubsim.Options{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(h.Info().CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return &hub{h, t, client}
}

func (h *hub) call(method, path, body string) string {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.Info().HTTPS+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		h.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, answer, err)
	}
	return string(answer)
}

// What the report counts as acknowledged is at the hub, in order and without a
// hole, also after cuts.
func TestLoad(t *testing.T) {
	h := startHub(t)
	const gateways = 20
	h.call("POST", "/devices?api-version=1", `[{"id":"load-3","importMode":"create"}]`) // is there already
	h.call("POST", "/devices/load-3/messages/devicebound?api-version=1", "x")
	h.call("POST", "/hubsim/faults", `{"kind":"kill-before-puback","count":5,"after":10}`)
	h.call("POST", "/hubsim/faults", `{"kind":"refuse-connect","count":2}`)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan Report, 1)
	go func() {
		r, err := Run(ctx, Options{Hub: h.Info(), Gateways: gateways, Every: 20 * time.Millisecond, Bytes: 100, Duration: time.Hour})
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	for end := time.Now().Add(time.Minute); !h.enough(gateways); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			stop()
			t.Fatalf("too little in a minute: %+v", <-ended)
		}
	}
	stop()
	r := <-ended
	if r.Gateways != gateways || r.Peak != gateways || r.Refused != 2 || r.Lost != 5 || r.Connects != gateways+5 || r.Commands != 1 || r.Repeated != 5 {
		t.Errorf("report %s", r)
	}
	var received, duplicates uint64
	for _, row := range h.audit() {
		if row.Holes != 0 || row.OutOfOrder != 0 || row.First != 1 {
			t.Errorf("audit %+v", row)
		}
		received += row.Received
		duplicates += row.Duplicates
	}
	if received < r.Acknowledged || received > r.Sent || duplicates != 5 {
		t.Errorf("the hub has %d messages and %d duplicates, the report says %s", received, duplicates, r)
	}
	if text := r.String(); !strings.Contains(text, "20, at most 20 connected at once") || r.acknowledging.total != r.Acknowledged {
		t.Errorf("report %s", text)
	}
	var report struct {
		PerSecond float64            `json:"per_second"`
		Pubacks   map[string]float64 `json:"puback_seconds"`
	}
	text, err := json.Marshal(r)
	if err != nil || json.Unmarshal(text, &report) != nil || report.PerSecond <= 0 || report.Pubacks["max"] < report.Pubacks["p50"] {
		t.Errorf("report %s, %v", text, err)
	}
}

type row struct {
	First, Received, Duplicates, Holes uint64
	OutOfOrder                         uint64 `json:"out_of_order"`
}

func (h *hub) audit() (rows []row) {
	h.t.Helper()
	if err := json.Unmarshal([]byte(h.call("GET", "/hubsim/audit", "")), &rows); err != nil {
		h.t.Fatal(err)
	}
	return rows
}

// enough reports whether each gateway has sent three messages, and the faults
// are used up.
func (h *hub) enough(gateways int) bool {
	rows := h.audit()
	for _, r := range rows {
		if r.Received < 3 {
			return false
		}
	}
	return len(rows) == gateways && strings.TrimSpace(h.call("GET", "/hubsim/faults", "")) == "[]" &&
		!strings.Contains(h.call("GET", "/hubsim/devices", ""), `"connected":false`)
}

func TestOptions(t *testing.T) {
	good := Options{Gateways: 1, Every: time.Second, Bytes: 1, Duration: time.Second}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := Options{Gateways: 5001, Every: 2 * time.Hour, Bytes: 0, ConnectOver: -1, Duration: 0}
	_, err := Run(t.Context(), bad)
	for _, name := range []string{"gateways: 5001", "every: 2h0m0s", "bytes: 0", "connect-over", "duration"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %s", err, name)
		}
	}
	good.Hub.ServiceConnectionString = "HostName=localhost"
	if _, err := Run(t.Context(), good); err == nil || !strings.Contains(err.Error(), "SharedAccessKey") {
		t.Errorf("error %v", err)
	}
	h := startHub(t)
	good.Hub = h.Info()
	good.Hub.ServiceConnectionString = "HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=AAAA"
	if _, err := Run(t.Context(), good); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong key: %v", err)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for ms := 1; ms <= 1000; ms++ {
		h.add(time.Duration(ms) * time.Millisecond)
	}
	for share, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.percentile(share); got < want || got > want*11/10 {
			t.Errorf("percentile %v: %v, want %v to ten percent above", share, got, want)
		}
	}
	h.add(1000 * time.Hour)
	h.add(-1)
	if h.percentile(1) != 1000*time.Hour || (&histogram{}).percentile(0.5) != 0 {
		t.Errorf("the largest: %v", h.percentile(1))
	}
}

// FuzzPackets is what a hub may send to a gateway.
func FuzzPackets(f *testing.F) {
	f.Add([]byte("\x40\x02\x00\x01\x90\x03\x00\x01\x01\xd0\x00"))
	f.Add([]byte("\x32\x07\x00\x01a\x00\x01xy"))
	f.Add([]byte("\x30\xff\xff\xff\x7f"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		c := newClient(silent{})
		c.in = bufio.NewReader(bytes.NewReader(data))
		if err := c.read(); err == nil {
			panic("read has ended without an error")
		}
	})
}

// silent is a connection into which everything may be written.
type silent struct{ net.Conn }

func (silent) Write(p []byte) (int, error)      { return len(p), nil }
func (silent) SetReadDeadline(time.Time) error  { return nil }
func (silent) SetWriteDeadline(time.Time) error { return nil }
