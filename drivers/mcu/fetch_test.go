package mcu

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// caOf is the file of the certificate that a server has.
func caOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestFirmwareIsFetched: by HTTPS, once for each command.
func TestFirmwareIsFetched(t *testing.T) {
	var file []byte
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write(file)
		case "/plain":
			http.Redirect(w, r, "http://"+r.Host+"/good", http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		case "/large":
			_, _ = w.Write(make([]byte, mostImage+1))
		case "/denied":
			http.Error(w, "", http.StatusForbidden)
		case "/moved":
			http.Redirect(w, r, "/referred", http.StatusFound)
		case "/referred":
			http.Error(w, "", len(r.Header["Referer"])+http.StatusTeapot)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	w := newWorkshop(t, func(c *Config) { c.FirmwareCA = caOf(t, server) })
	file = w.sign(t, firmware("1.2.0"), "1.2.0")
	w.open(t)
	sink := w.listen(t)
	for path, want := range map[string]string{
		"/plain": "https:// alone", "/circle": "redirected without end", "/large": "more than", "/none": "404 Not Found; check the URL",
		"/denied": "send the command with a new one", "/moved": "418",
	} {
		_, err := w.Do(t.Context(), command(updateFirmware, map[string]any{"url": server.URL + path + "?sig=secret"}))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if state, _ := find(sink, "firmware.update"); state.Value != gateway.Text("failed") {
		t.Errorf("it is told to be %v, want failed", state.Value)
	}
	if got := w.files(t); got != nil {
		t.Errorf("what was no image is kept: %v", got)
	}
	wrong := command(updateFirmware, map[string]any{"url": server.URL + "/good", "sha256": strings.Repeat("a", 64)})
	wrong.ID = "another"
	if _, err := w.Do(t.Context(), wrong); !errors.Is(err, gateway.ErrDenied) || !strings.Contains(err.Error(), "has the sha256") {
		t.Errorf("another file: %v", err)
	}
	before := asked.Load()
	if _, err := w.fetched(t.Context(), command(updateFirmware, map[string]any{"url": server.URL + "/good"}), server.URL+"/good"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Do(t.Context(), command(updateFirmware, map[string]any{"url": server.URL + "/good"})); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	w.runs(t, "1.2.0")
	distrustful := newWorkshop(t, nil)
	distrustful.open(t)
	if _, err := distrustful.Do(t.Context(), command(updateFirmware, map[string]any{"url": server.URL + "/good"})); err == nil || !strings.Contains(err.Error(), "check firmware_ca") {
		t.Errorf("an unknown CA: %v", err)
	}
}

// shop is a server of one file, of which it says, answer by answer, what is to happen.
type shop struct {
	*httptest.Server
	mu sync.Mutex
	// script are the answers to come; behind its end the file is served well.
	script []func(w http.ResponseWriter, r *http.Request)
	file   []byte
	tag    string   // ETag; empty: none
	ranges []string // that were asked for
}

func openShop(t *testing.T, size int) *shop {
	t.Helper()
	s := &shop{file: noise(1, size), tag: `"one"`}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	answer := s.serve
	if len(s.script) > 0 {
		answer, s.script = s.script[0], s.script[1:]
	}
	s.mu.Unlock()
	answer(w, r)
}

// serve serves the file as it is, or the part that is asked for.
func (s *shop) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	file, tag := s.file, s.tag
	s.mu.Unlock()
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
}

// cutAfter serves so many bytes and hangs up.
func (s *shop) cutAfter(n int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		s.serve(&cutting{w, n}, r)
		panic(http.ErrAbortHandler)
	}
}

// cutting lets so many bytes through.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		return n, io.ErrClosedPipe
	}
	return n, err
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", code) }
}

// get fetches the file, with pauses that are short.
func (s *shop) get(t *testing.T) ([]byte, error) {
	t.Helper()
	d := download{client: s.Client(), from: s.URL + "/image?sig=secret", pause: time.Millisecond, patience: time.Minute}
	file, err := d.run(t.Context())
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	return file, err
}

// asked are the ranges that were asked for.
func (s *shop) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.ranges, ",")
}

// TestDownloadGoesOn: with what has come before, as long as the server can do that and the
// file is the same; else from its beginning. It is whole in the end.
func TestDownloadGoesOn(t *testing.T) {
	const size = 100_000
	anotherPart := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", size-1, size))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(make([]byte, size-7))
	}
	for name, c := range map[string]struct {
		script func(s *shop) []func(http.ResponseWriter, *http.Request)
		want   string // ranges
	}{
		"cut twice": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000), s.cutAfter(20_000)}
		}, ",bytes=30000-,bytes=50000-"},
		"errors between": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			return []func(http.ResponseWriter, *http.Request){status(500), s.cutAfter(30_000), status(503)}
		}, ",,bytes=30000-,bytes=30000-"},
		"less than asked for": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			less := func(w http.ResponseWriter, r *http.Request) {
				r.Header.Set("Range", r.Header.Get("Range")+"49999")
				s.serve(w, r)
			}
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000), less}
		}, ",bytes=30000-,bytes=50000-"},
		"without ETag": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			s.tag = ""
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000), s.cutAfter(20_000)}
		}, ",,"},
		"weak ETag": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			s.tag = `W/"one"`
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000)}
		}, ","},
		"no ranges": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			whole := func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Range")
				s.serve(w, r)
			}
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000), whole}
		}, ",bytes=30000-"},
		"another file": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			changed := func(w http.ResponseWriter, r *http.Request) {
				s.mu.Lock()
				s.file, s.tag = noise(2, size), `"two"`
				s.mu.Unlock()
				s.cutAfter(10_000)(w, r)
			}
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000), changed}
		}, ",bytes=30000-,bytes=10000-"},
		"another file, whatever is asked": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			changed := func(w http.ResponseWriter, r *http.Request) {
				s.mu.Lock()
				s.file, s.tag = noise(2, size), `"two"`
				s.mu.Unlock()
				r.Header.Del("If-Range")
				s.serve(w, r)
			}
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000), changed}
		}, ",bytes=30000-,"},
		"shorter than what has come": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			return []func(http.ResponseWriter, *http.Request){s.cutAfter(30_000), status(http.StatusRequestedRangeNotSatisfiable)}
		}, ",bytes=30000-,"},
		"another part": {func(s *shop) []func(http.ResponseWriter, *http.Request) {
			return []func(http.ResponseWriter, *http.Request){anotherPart, s.cutAfter(30_000), anotherPart}
		}, ",,bytes=30000-,"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, size)
			s.script = c.script(s)
			file, err := s.get(t)
			if err != nil || !bytes.Equal(file, s.file) {
				t.Errorf("%d bytes that are another file, or %v", len(file), err)
			}
			if got := s.asked(); got != c.want {
				t.Errorf("asked for %q, want %q", got, c.want)
			}
		})
	}
}

// TestDownloadByDate: a server without ETag that says when the file was changed.
func TestDownloadByDate(t *testing.T) {
	t.Parallel()
	s := openShop(t, 100_000)
	dated := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), bytes.NewReader(s.file))
	}
	cut := func(w http.ResponseWriter, r *http.Request) {
		dated(&cutting{w, 30_000}, r)
		panic(http.ErrAbortHandler)
	}
	s.script = []func(http.ResponseWriter, *http.Request){cut, dated}
	if file, err := s.get(t); err != nil || !bytes.Equal(file, s.file) || s.asked() != ",bytes=30000-" {
		t.Errorf("%d bytes, asked for %s: %v", len(file), s.asked(), err)
	}
}

// TestDownloadsThatFail: soon if nothing else can come of it.
func TestDownloadsThatFail(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	huge := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(mostImage+1))
		w.WriteHeader(http.StatusOK)
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		asked  int
		want   string
	}{
		"500":     {status(500), mostVain, "500 Internal Server Error; 10 attempts have brought nothing more: check the server"},
		"429":     {status(429), mostVain, "429"},
		"404":     {status(404), 1, "check the URL"},
		"403":     {status(403), 1, "with a new one"},
		"204":     {status(204), 1, "204 No Content"},
		"endless": {endless, 1, "more than"},
		"huge":    {huge, 1, "more than"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, mostVain, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, 10)
			for range mostVain + 1 {
				s.script = append(s.script, c.answer)
			}
			if file, err := s.get(t); err == nil || file != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d bytes, %v, want %s", len(file), err, c.want)
			}
			if n := 1 + strings.Count(s.asked(), ","); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}

// TestDownloadEndsWithItsCommand, and says what was wrong until then.
func TestDownloadEndsWithItsCommand(t *testing.T) {
	t.Parallel()
	s := openShop(t, 10)
	ctx, stop := context.WithCancelCause(t.Context())
	stopped := errors.New("its time is over")
	s.script = append(s.script, status(500), func(http.ResponseWriter, *http.Request) {
		stop(stopped)
		panic(http.ErrAbortHandler)
	})
	_, err := (&download{client: s.Client(), from: s.URL, pause: time.Millisecond, patience: time.Minute}).run(ctx)
	if !errors.Is(err, stopped) || !strings.Contains(err.Error(), "the server answers 500") {
		t.Errorf("%v", err)
	}
}

// TestFirmwareComesThroughAProxy, the one that the gateway is told of at that moment.
func TestFirmwareComesThroughAProxy(t *testing.T) {
	var file []byte
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(file) }))
	defer server.Close()
	w := newWorkshop(t, func(c *Config) { c.FirmwareCA = caOf(t, server) })
	file = w.sign(t, firmware("1.2.0"), "1.2.0")
	w.open(t)
	var through atomic.Pointer[url.URL]
	w.FetchThrough(through.Load)
	front := httptest.NewServer(http.HandlerFunc(passOn))
	defer front.Close()
	place, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	place.User = url.UserPassword("board", "wrong")
	through.Store(place)
	cmd := command(updateFirmware, map[string]any{"url": server.URL + "/good"})
	if _, err := w.Do(t.Context(), cmd); err == nil || !strings.Contains(err.Error(), "does not accept user and password") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
	right := *place
	right.User = url.UserPassword("board", "right")
	through.Store(&right)
	if _, err := w.Do(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	w.runs(t, "1.2.0")
}

// passOn is a proxy that knows one user.
func passOn(w http.ResponseWriter, r *http.Request) {
	asks := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	if _, password, _ := asks.BasicAuth(); r.Method != http.MethodConnect || password != "right" {
		http.Error(w, "", http.StatusProxyAuthRequired)
		return
	}
	server, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	defer server.Close()
	board, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer board.Close()
	_, _ = io.WriteString(board, "HTTP/1.1 200 OK\r\n\r\n")
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(board, server)
		board.Close()
	})
	_, _ = io.Copy(server, board)
	server.Close()
	back.Wait()
}

// TestProxyThatDoesNotConnect may do so later.
func TestProxyThatDoesNotConnect(t *testing.T) {
	err := passed(t.Context(), &url.URL{Host: "proxy:3128"}, nil, &http.Response{StatusCode: http.StatusBadGateway})
	if err == nil || final(err) || !strings.Contains(err.Error(), "proxy:3128 does not connect to it: 502") {
		t.Errorf("%v", err)
	}
}

// TestStalledDownload is asked for anew, where it stands.
func TestStalledDownload(t *testing.T) {
	t.Parallel()
	s := openShop(t, 100_000)
	s.script = append(s.script, func(w http.ResponseWriter, r *http.Request) {
		s.serve(&cutting{w, 30_000}, r)
		<-r.Context().Done()
	})
	d := download{client: s.Client(), from: s.URL, pause: time.Millisecond, patience: 500 * time.Millisecond}
	if file, err := d.run(t.Context()); err != nil || !bytes.Equal(file, s.file) || !strings.HasPrefix(s.asked(), ",bytes=30000-") {
		t.Errorf("%d bytes, asked for %s: %v", len(file), s.asked(), err)
	}
}
