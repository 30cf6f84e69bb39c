package systemtest

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSystemdIsTold: the gateway says when it is ready, reloads and stops, and
// feeds the watchdog in between.
func TestSystemdIsTold(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	path := filepath.Join(dir, "notify.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var mu sync.Mutex
	var told []string
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			told = append(told, string(buf[:n]))
			mu.Unlock()
		}
	}()
	count := func(mark string) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range told {
			if strings.Contains(s, mark) {
				n++
			}
		}
		return n
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "900000")
	g := newGateway(t, dir, h)
	await := func(mark string, n int) {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			if count(mark) < n {
				return fmt.Errorf("%s was said %d times, want %d", mark, count(mark), n)
			}
			return nil
		})
	}
	await("READY=1", 1)
	await("WATCHDOG=1", 3)
	await("STATUS=connected, ", 1)
	g.tool(t, 0, "reload")
	if count("RELOADING=1\nMONOTONIC_USEC=") != 1 || count("READY=1") != 2 {
		t.Errorf("a reload was told %d times, and its end %d times", count("RELOADING=1\nMONOTONIC_USEC="), count("READY=1")-1)
	}
	if err := g.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await("READY=1", 3)
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	await("STOPPING=1", 1)
}
