package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/hubsim"
	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// runningBoard is a gateway that runs, with a hub simulator; more goes into its
// upstream.
func runningBoard(t *testing.T, more string) (b *board, storage string) {
	t.Helper()
	b = &board{dir: t.TempDir()}
	b.config = filepath.Join(b.dir, "fieldpost.yaml")
	hub, err := hubsim.Start(t.Context(), hubsim.Options{Data: filepath.Join(b.dir, "hub"), Devices: []string{"gw"}})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(hub.Info().HTTPS)
	text := fmt.Sprintf(`gateway: {id: gw, data_dir: %[1]s/data, socket: %[1]s/api.sock}
upstreams:
  - {type: iothub, connection_string: %[2]q, ca_file: %[3]q, https_port: %[4]s%[5]s}
queue: {max_bytes: 64MB, min_free: 64MB, commit: {max_age: 0s}}
uploads: {max_bytes: 5MB}
devices:
  - {id: bench, driver: sim, every: 1h}
`, b.dir, hub.Info().Devices[0].ConnectionString, hub.Info().CA, port, more)
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := service.Load(b.config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.New(loaded, thisBuild(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, service.Process{}) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = hub.Close()
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("unix", b.socket()); err == nil {
			conn.Close()
			return b, filepath.Join(b.dir, "hub", "blobs")
		}
		if time.Now().After(end) {
			t.Fatal("the gateway does not start")
		}
	}
}

// cliAt runs a command line with the socket of a board.
func (b *board) cliAt(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	return cli(t, append(args, "--socket", b.socket())...)
}

func TestUploadByHand(t *testing.T) {
	b, storage := runningBoard(t, "")
	file := filepath.Join(b.dir, "day.log")
	if err := os.WriteFile(file, []byte("all is well\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := b.cliAt(t, "upload", file)
	if code != exitOK || !strings.Contains(out, "gw/day.log: done, 12 B") || errs != "" {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	if text, err := filepath.Glob(filepath.Join(storage, "*", "content")); err != nil || len(text) != 1 {
		t.Errorf("the storage has %v, %v", text, err)
	}
	code, out, errs = b.cliAt(t, "upload", file, "--name", "logs/today", "--json")
	var up upload.Upload
	if err := json.Unmarshal([]byte(out), &up); code != exitOK || err != nil || up.Blob != "gw/logs/today" || up.State != upload.Done {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	code, out, errs = b.cliAt(t, "uploads", "ls")
	if code != exitOK || errs != "" || strings.Count(out, "done") != 2 || !strings.Contains(out, up.ID) {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"upload", file + ".none"}, exitFailed, "no such file"},
		{[]string{"upload", b.dir}, exitFailed, "is a directory; pack it first"},
		{[]string{"upload", file, "--name", "a//b"}, exitFailed, "neither empty"},
		{[]string{"upload", "-"}, exitUsage, "add --name"},
		{[]string{"uploads", "cancel", up.ID}, exitFailed, "is done"},
		{[]string{"uploads", "cancel", "none"}, exitFailed, "no such upload"},
		{[]string{"uploads", "cancel"}, exitUsage, "expected"},
	} {
		if code, _, errs := b.cliAt(t, c.args...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("fieldpost %v: code %d, %s, want %d with %q", c.args, code, errs, c.code, c.want)
		}
	}
}

func TestUploadThatWaits(t *testing.T) {
	b, _ := runningBoard(t, ", proxy: \"http://127.0.0.1:1\"") // nothing gets through
	code, out, errs := b.cliAt(t, "upload", "-", "--name", "empty", "--no-wait")
	if code != exitOK || !strings.Contains(out, "empty: ") || errs != "" {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	id, _, _ := strings.Cut(out, " ")
	if _, out, _ := b.cliAt(t, "status"); !strings.Contains(out, "uploads   1 under way, 0 B of 0 B sent\n") {
		t.Errorf("status:\n%s", out)
	}
	code, out, errs = b.cliAt(t, "uploads", "cancel", id)
	if code != exitOK || !strings.Contains(out, "canceled") {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	big := filepath.Join(b.dir, "big")
	if err := os.WriteFile(big, make([]byte, 6_000_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := b.cliAt(t, "upload", big); code != exitFailed || !strings.Contains(errs, "uploads.max_bytes is 5000000") {
		t.Errorf("code %d, %s", code, errs)
	}
}
