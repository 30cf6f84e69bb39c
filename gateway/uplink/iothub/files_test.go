package iothub

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/hubsim"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// fileHub is a hub simulator with a client of its HTTPS side.
type fileHub struct {
	*hubsim.Hub
	t   *testing.T
	web web
}

func startFileHub(t *testing.T) *fileHub {
	t.Helper()
	h, err := hubsim.Start(t.Context(), hubsim.Options{
		Data: t.TempDir(), Devices: []string{"d1"}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	settings, _, err := mqtt.NewTrust(mqtt.TrustOptions{Bundle: h.Info().CA}).TLS("")
	if err != nil {
		t.Fatal(err)
	}
	return &fileHub{Hub: h, t: t, web: new(line).web(settings, func(error) {})}
}

// upstream is the device d1, with what counts its bytes.
func (h *fileHub) upstream() (*Upstream, *uplink.Meter) {
	h.t.Helper()
	return uploadingDevice(h.t, h.Info().Devices[0].ConnectionString, h.Info().CA, h.Info().HTTPS)
}

func uploadingDevice(t *testing.T, connection, ca, https string) (*Upstream, *uplink.Meter) {
	t.Helper()
	return signedIn(t, SignInConfig{ConnectionString: config.Secret(connection)}, ca, https, "")
}

func signedIn(t *testing.T, c SignInConfig, ca, https, proxy string) (*Upstream, *uplink.Meter) {
	t.Helper()
	_, port, _ := net.SplitHostPort(https)
	number, _ := strconv.Atoi(port)
	u, err := New(Config{
		SignInConfig: c, CAFile: ca, Proxy: config.Secret(proxy),
		KeepAlive: time.Minute, TokenTTL: time.Hour, InFlight: 8, FilesConfig: FilesConfig{number}, Tier: tierStandard, MethodTimeout: time.Second,
	}, Parts{Clock: testClock{}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := uplink.NewMeter(uplink.MeterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u.CountWith(m)
	return u, m
}

func (h *fileHub) call(method, path, body string) (int, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.Info().HTTPS+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := h.web.ask(r, 64<<20)
	if err != nil {
		h.t.Fatal(err)
	}
	return a.status, string(a.body)
}

func (h *fileHub) fault(body string) {
	h.t.Helper()
	if status, text := h.call(http.MethodPost, "/hubsim/faults", body); status != http.StatusNoContent {
		h.t.Fatal(status, text)
	}
}

func (h *fileHub) uploader(u *Upstream) *upload.Uploader {
	h.t.Helper()
	log := slog.New(slog.NewTextHandler(h.t.Output(), nil))
	up, err := upload.Open(upload.Options{
		Dir: h.t.TempDir(), MaxBytes: 10 << 20, Way: upload.Way{BlockBytes: 64 << 10, Cloud: u.Files()}, Clock: testClock{}, Log: log,
		Health: health.NewBoard(log), MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, Stall: 2 * time.Second,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- up.Run(ctx) }()
	h.t.Cleanup(func() { stop(); <-ended })
	return up
}

// TestFileToTheHub: the real client, the real server, and all that can happen
// between them.
func TestFileToTheHub(t *testing.T) {
	h := startFileHub(t)
	u, m := h.upstream()
	up := h.uploader(u)
	content := bytes.Repeat([]byte("0123456789abcde\n"), 20_000) // 320,000 bytes, 5 blocks
	for name, fault := range map[string]string{
		"plain/day 1#ü?.txt": "", "begin": `{"kind":"fail-upload","code":503,"count":2}`, "blocks": `{"kind":"fail-block","after":2,"count":3}`,
		"cut": `{"kind":"cut-block","after":1,"count":2}`, "expired": `{"kind":"expire-upload-token","after":3}`,
		"hanging": `{"kind":"hang-block","after":4}`, "report": `{"kind":"fail-notification","code":429,"count":2}`,
		"busy": `{"kind":"fail-block","code":503,"after":3}`,
	} {
		t.Run(name, func(t *testing.T) {
			if fault != "" {
				h.fault(fault)
			}
			got, err := up.Accept(t.Context(), upload.Request{Name: name, Size: -1}, bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if got, err = up.Wait(ctx, got.ID); err != nil || got.State != upload.Done || got.Blob != "d1/"+name {
				t.Fatalf("%+v, %v", got, err)
			}
			if status, text := h.call(http.MethodGet, "/hubsim/blobs/"+strings.ReplaceAll(escape(got.Blob), "%2F", "/"), ""); status != 200 || text != string(content) {
				t.Errorf("the storage has %d bytes, status %d", len(text), status)
			}
			if _, faults := h.call(http.MethodGet, "/hubsim/faults", ""); faults != "[]\n" {
				t.Errorf("the fault has not struck: %s", faults)
			}
		})
	}
	if b := m.Bytes(); b.Uploads.Out < 8*320_000 || b.Uploads != b.Total() {
		t.Errorf("counted %+v", b)
	}
	_, uploads := h.call(http.MethodGet, "/hubsim/uploads", "")
	if n := strings.Count(uploads, `"isSuccess":true`); n != 8 {
		t.Errorf("%d of 8 uploads are reported: %s", n, uploads)
	}
}

// TestUploadKeepsBlocks: what the storage has is not sent again.
func TestUploadKeepsBlocks(t *testing.T) {
	h := startFileHub(t)
	u, _ := h.upstream()
	s, err := u.Files().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k, err := s.Begin(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := s.Blocks(t.Context(), k); err != nil || len(list) != 0 {
		t.Errorf("before the first: %v, %v", list, err)
	}
	for _, id := range []string{"b-1", "b-2"} {
		if err := s.Put(t.Context(), k, id, strings.NewReader("x"+id), 4); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Blocks(t.Context(), k); err != nil || len(list) != 2 || list["b-1"] != 4 {
		t.Errorf("staged: %v, %v", list, err)
	}
	if err := s.Commit(t.Context(), k, []string{"b-1", "b-3"}, upload.Content{}); !errors.Is(err, upload.ErrBlocks) {
		t.Errorf("a block is missing: %v", err)
	}
	sum := md5.Sum([]byte("xb-1xb-2"))
	if err := s.Commit(t.Context(), k, []string{"b-1", "b-2"}, upload.Content{Type: "text/plain", MD5: sum[:]}); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Blocks(t.Context(), k); err != nil || len(list) != 2 {
		t.Errorf("committed: %v, %v", list, err)
	}
	k.Token = strings.Replace(k.Token, "sig=", "sig=x", 1)
	err = s.Put(t.Context(), k, "b-1", strings.NewReader("x"), 1)
	if !errors.Is(err, upload.ErrTicket) || strings.Contains(fmt.Sprint(err), "sig") {
		t.Errorf("with a wrong token: %v", err)
	}
	if err := s.Report(t.Context(), k, upload.Outcome{OK: true, Status: 201}); err != nil {
		t.Error(err)
	}
	if err := s.Report(t.Context(), k, upload.Outcome{OK: true, Status: 201}); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("reported twice: %v", err)
	}
}

// scripted is a server that says what a test wants.
func scripted(t *testing.T, handle http.HandlerFunc) (*Upstream, string) {
	t.Helper()
	server := httptest.NewTLSServer(handle)
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	address := server.Listener.Addr().String()
	u, _ := uploadingDevice(t, "HostName=example.com;DeviceId=d1;SharedAccessKey="+testKey+";GatewayHostName=127.0.0.1", ca, address)
	return u, address
}

// TestEveryStatus of hub and storage has a meaning, and none is taken for a
// success that is none.
func TestEveryStatus(t *testing.T) {
	status := 0
	u, address := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "https://192.0.2.1/")
		w.Header().Set("Retry-After", "7")
		w.Header().Set("x-ms-error-code", "Some\u0085Code")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "\x1b[31mno")
	})
	s, err := u.Files().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := upload.Ticket{Correlation: "c", Host: address, Container: "c", Blob: "d1/a", Token: "sig=SECRET"}
	for status = 200; status < 600; status++ {
		_, begin := s.Begin(t.Context(), "a")
		report := s.Report(t.Context(), k, upload.Outcome{})
		put := s.Put(t.Context(), k, "b", strings.NewReader("x"), 1)
		commit := s.Commit(t.Context(), k, nil, upload.Content{})
		_, blocks := s.Blocks(t.Context(), k)
		for what, err := range map[string]error{"begin": begin, "report": report, "put": put, "commit": commit, "blocks": blocks} {
			success := what == "report" && status/100 == 2 || status == 201 && (what == "put" || what == "commit")
			if (err == nil) != success {
				t.Errorf("%s: %d: %v", what, status, err)
			}
			if text := fmt.Sprint(err); strings.ContainsAny(text, "\u0085\x1b\n") || strings.Contains(text, "SECRET") || strings.Contains(text, "SharedAccessSignature") {
				t.Errorf("%s: %d: the error tells %q", what, status, text)
			}
			var later *upload.Later
			if busy := status == 429 || status == 503; err != nil && errors.As(err, &later) != busy || busy && later.After != 7*time.Second {
				t.Errorf("%s: %d: %v", what, status, err)
			}
			hub := what == "begin" || what == "report"
			for sentinel, when := range map[error]bool{
				gateway.ErrInvalid: status == 413 || what != "begin" && status == 400 || what == "report" && status == 404,
				uplink.ErrRefused:  hub && (status == 401 || status == 403) || what == "begin" && (status == 400 || status == 404),
				upload.ErrTicket:   !hub && (status == 401 || status == 403 || status == 404),
			} {
				if errors.Is(err, sentinel) != when {
					t.Errorf("%s: %d: %v is %v: %v", what, status, err, sentinel, !when)
				}
			}
		}
	}
}

// TestAnswersWithoutEnd are not read to the end, and those that break off are
// no answers.
func TestAnswersWithoutEnd(t *testing.T) {
	ended := make(chan struct{}, 10)
	u, address := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.Contains(r.URL.Path, "breaks") {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			return
		}
		for chunk := bytes.Repeat([]byte("x"), 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				ended <- struct{}{}
				return
			}
		}
	})
	s, err := u.Files().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := upload.Ticket{Correlation: "c", Host: address, Container: "c", Blob: "d1/a", Token: "sig=x"}
	if _, err := s.Begin(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("begin: %v", err)
	}
	if err := s.Put(t.Context(), k, "b", strings.NewReader("x"), 1); err == nil {
		t.Error("put")
	}
	if _, err := s.Blocks(t.Context(), k); err == nil || !strings.Contains(err.Error(), "more than 16777216 bytes") {
		t.Errorf("blocks: %v", err)
	}
	for range 3 {
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("the connection is still open")
		}
	}
	k.Blob = "breaks"
	if _, err := s.Blocks(t.Context(), k); err == nil || !strings.Contains(err.Error(), "breaks off") {
		t.Errorf("breaks off: %v", err)
	}
}

// TestFilesNeedTheTime: no token of 1970 is shown.
func TestFilesNeedTheTime(t *testing.T) {
	h := startFileHub(t)
	u, _ := h.upstream()
	u.parts.Clock = testClock{untrusted: true}
	if _, err := u.Files().Open(t.Context()); !errors.Is(err, uplink.ErrNotReady) {
		t.Errorf("got %v", err)
	}
}

// TestStrangersGetNoFile: a server whose certificate nobody vouches for.
func TestStrangersGetNoFile(t *testing.T) {
	u, address := scripted(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	u.config.CAFile = startFileHub(t).Info().CA // of another one
	u.trust = newTrust("hub", u.config, u.parts)
	s, err := u.Files().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Begin(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("begin: %v", err)
	}
	k := upload.Ticket{Correlation: "c", Host: address, Container: "c", Blob: "d1/a", Token: "sig=SECRET"}
	if err := s.Put(t.Context(), k, "b", strings.NewReader("x"), 1); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("put: %v", err)
	}
}

// deliver uploads a small file and fails unless it arrives.
func (h *fileHub) deliver(u *Upstream, blob string) {
	h.t.Helper()
	up := h.uploader(u)
	got, err := up.Accept(h.t.Context(), upload.Request{Name: "a.txt", Size: 4}, strings.NewReader("text"))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	if got, err = up.Wait(ctx, got.ID); err != nil || got.State != upload.Done {
		h.t.Fatalf("%+v, %v", got, err)
	}
	if status, text := h.call(http.MethodGet, "/hubsim/blobs/"+blob, ""); status != 200 || text != "text" {
		h.t.Errorf("the storage has %q, status %d", text, status)
	}
}

// TestFileWithCertificate: a device that has no key.
func TestFileWithCertificate(t *testing.T) {
	h := startFileHub(t)
	leaf, c := deviceFiles(t, t.TempDir(), time.Now().Add(time.Hour))
	const id = "x1"
	body := fmt.Sprintf(`{"deviceId":%q,"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"%X"}}}`, id, sha256.Sum256(leaf.Raw))
	if status, text := h.call(http.MethodPut, "/devices/"+id+"?api-version=2021-04-12", body); status != http.StatusOK {
		t.Fatal(status, text)
	}
	c.Host, c.DeviceID = "localhost", id
	u, _ := signedIn(t, c, h.Info().CA, h.Info().HTTPS, "")
	h.deliver(u, id+"/a.txt")
}

// TestFileThroughProxy: hub and storage are reached by its way alone, and its
// password is told to nobody else.
func TestFileThroughProxy(t *testing.T) {
	h := startFileHub(t)
	var tunnels atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		if r.Method != http.MethodConnect || user != "gw" || password != "p@ss" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		far, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer far.Close()
		tunnels.Add(1)
		near, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(far, buffered); far.Close() }()
		_, _ = io.Copy(near, far)
	}))
	t.Cleanup(proxy.Close)
	address := strings.TrimPrefix(proxy.URL, "http://")
	c := SignInConfig{ConnectionString: config.Secret(h.Info().Devices[0].ConnectionString)}
	u, _ := signedIn(t, c, h.Info().CA, h.Info().HTTPS, "http://gw:p%40ss@"+address)
	h.deliver(u, "d1/a.txt")
	if n := tunnels.Load(); n != 2 {
		t.Errorf("%d tunnels, want one to the hub and one to the storage", n)
	}
	u, _ = signedIn(t, c, h.Info().CA, h.Info().HTTPS, "http://gw:wr%40ng@"+address)
	s, err := u.Files().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Begin(t.Context(), "a"); err == nil || strings.Contains(err.Error(), "wr@ng") || strings.Contains(err.Error(), "wr%40ng") || !strings.Contains(err.Error(), "Proxy Authentication Required") {
		t.Errorf("with a wrong password: %v", err)
	}
}

const goodTicket = `{"correlationId":"c","hostName":"x.blob.core.windows.net","containerName":"c","blobName":"d1/a","sasToken":"?sv=1&sig=a%2Fb"}`

func TestTickets(t *testing.T) {
	k, err := parseTicket([]byte(goodTicket))
	if err != nil || k != (upload.Ticket{Correlation: "c", Host: "x.blob.core.windows.net", Container: "c", Blob: "d1/a", Token: "sv=1&sig=a%2Fb"}) {
		t.Errorf("%+v, %v", k, err)
	}
	for old, fresh := range map[string]string{
		`"c","host`: `"","host`, "x.blob": "evil/x.blob", "windows.net": "windows.net:port", "core": "user@core",
		`"d1/a"`: `""`, `"c","blob`: `"","blob`, "?sv=1&sig=a%2Fb": "?", "a%2Fb": "a b", "sig=a": "sig=#a", "%2F": "%zz", "{": "[", "}": "",
	} {
		if _, err := parseTicket([]byte(strings.Replace(goodTicket, old, fresh, 1))); err == nil {
			t.Errorf("with %s it passes", fresh)
		}
	}
}

func FuzzTicket(f *testing.F) {
	f.Add([]byte(goodTicket))
	f.Add([]byte(strings.Replace(goodTicket, "net", "net:65535", 1)))
	f.Add([]byte(`{"hostName":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		k, err := parseTicket(body)
		if err != nil {
			return
		}
		r, err := storage{}.request(t.Context(), http.MethodPut, k, "&comp=block", nil, 0)
		if err != nil {
			t.Fatalf("%+v: %v", k, err)
		}
		if r.URL.Scheme != "https" || r.URL.Host != k.Host || r.URL.User != nil || r.URL.Fragment != "" || r.URL.Path != "/"+k.Container+"/"+k.Blob {
			t.Errorf("%+v leads to %s", k, r.URL)
		}
	})
}

func FuzzBlocks(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><BlockList><CommittedBlocks><Block><Name>YQ==</Name><Size>3</Size></Block></CommittedBlocks><UncommittedBlocks/></BlockList>`))
	f.Add([]byte("\xef\xbb\xbf" + `<BlockList><UncommittedBlocks><Block><Name>!</Name></Block></UncommittedBlocks></BlockList>`))
	f.Add([]byte(`<BlockList><CommittedBlocks><Block><Size>x</Size></Block></CommittedBlocks></BlockList>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if blocks, err := parseBlocks(body); err != nil && blocks != nil {
			t.Errorf("blocks beside %v", err)
		}
	})
}
