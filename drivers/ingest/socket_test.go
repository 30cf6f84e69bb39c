package ingest

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

func TestSocketFile(t *testing.T) {
	for mode, want := range map[string]fs.FileMode{"0660": 0o660, "0600": 0o600, "0666": 0o666} {
		s := start(t, func(d *Dev, _ *drivertest.Sink) { d.config.Mode = mode })
		p := s.dial(t)
		p.send(t, `{"name":"a","value":1}`+"\n")
		p.wantID(t)
		info, err := os.Stat(s.path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode %s: %v, %v", mode, info.Mode(), err)
		}
		s.stopped(t)
		if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the stop: %v", err)
		}
	}
}

// leftover is what a crash leaves: a socket on which nobody listens.
func leftover(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLeftoverIsReplaced(t *testing.T) {
	s := start(t, func(d *Dev, _ *drivertest.Sink) { leftover(t, d.config.Socket) })
	p := s.dial(t)
	p.send(t, `{"name":"a","value":1}`+"\n")
	p.wantID(t)
}

func TestWhatIsNotOursStays(t *testing.T) {
	d, err := New(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	path := d.config.Socket
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context(), &drivertest.Sink{}); err == nil || !strings.Contains(err.Error(), "is there and no socket") {
		t.Errorf("a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := d.Run(t.Context(), &drivertest.Sink{}); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "another program listens") {
		t.Errorf("another's socket: %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another's socket is gone: %v", err)
	}
}

func TestFolderThatCannotBeMade(t *testing.T) {
	c := testConfig(t)
	c.Socket = filepath.Join(t.TempDir(), "file", "in.sock")
	if err := os.WriteFile(filepath.Dir(c.Socket), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := d.Run(ctx, &drivertest.Sink{}); err == nil || !strings.Contains(err.Error(), c.Socket[:len(c.Socket)-len("/in.sock")]) {
		t.Errorf("%v, want an error that names the folder", err)
	}
}

func TestValidate(t *testing.T) {
	good := Config{Socket: "/run/fieldpost/ingest.sock", Mode: "0660", MaxLine: 65536, MaxClients: 16}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{Socket: "/" + strings.Repeat("x", 107), Mode: "rw-rw----", MaxLine: 1, MaxClients: 0}
	err := bad.Validate()
	for _, want := range []string{"socket: the path has 108 bytes; want 1 to 107", "mode: ", "max_line: 1 is", "max_clients: 0 is"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in:\n%v", want, err)
		}
	}
	for _, mode := range []string{"660", "00660", "1660", "0680", "+660", ""} {
		c := good
		c.Mode = mode
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "such as 0660") {
			t.Errorf("mode %q: %v", mode, err)
		}
	}
	for _, c := range []Config{
		{Socket: "/s", Mode: "0660", MaxLine: mostLine + 1, MaxClients: 1}, {Socket: "/s", Mode: "0660", MaxLine: leastLine, MaxClients: mostClients + 1},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v passes", c)
		}
	}
	var field *gateway.FieldError
	if _, err := New(bad); !errors.As(err, &field) {
		t.Errorf("New: %v", err)
	}
}

// TestStopWhileClientsCome: the file is gone when Run returns, also if the last
// client was let in at that moment. A late removal could hit the next socket.
func TestStopWhileClientsCome(t *testing.T) {
	for range 200 {
		s := start(t, nil)
		s.dial(t)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if conn, err := net.Dial("unix", s.path); err == nil {
					_ = conn.Close()
				}
			})
		}
		s.stopped(t)
		if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("after the stop: %v", err)
		}
		wg.Wait()
	}
}
