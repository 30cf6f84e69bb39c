package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// adapter is a serial adapter that can be plugged in and pulled out: its device
// file is a link to a pseudoterminal.
type adapter struct {
	file      string
	far, near *os.File
}

func (a *adapter) plug(t *testing.T) {
	t.Helper()
	var err error
	if a.far, a.near, err = pty.Open(); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(a.near.Name(), a.file); err != nil {
		t.Fatal(err)
	}
}

func (a *adapter) pull() {
	_ = os.Remove(a.file)
	_ = a.near.Close()
	_ = a.far.Close()
}

// talk sends a line now and then until the adapter is pulled out.
func (a *adapter) talk() {
	for far := a.far; ; time.Sleep(50 * time.Millisecond) {
		if _, err := fmt.Fprint(far, "T=21.5\n"); err != nil {
			return
		}
	}
}

// TestSerialAdapterComesAndGoes: a real driver on a real tty, which is not there
// at the start, and later is pulled out and plugged in again.
func TestSerialAdapterComesAndGoes(t *testing.T) {
	b := startBroker(t)
	shm, err := os.MkdirTemp("/dev/shm", "fieldpost-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shm) })
	a := &adapter{file: filepath.Join(shm, "ttyUSB0")}
	text := strings.Replace(configText, "BROKER", b.url, 1) +
		"  - {id: scale, driver: lines, port: " + a.file + ", patterns: [{match: \"^T=(?P<t>[0-9.]+)\", readings: {t: {unit: Cel}}}]}\n"
	r := startServiceWith(t, t.TempDir(), text)
	r.awaitConnected(t)
	if d := r.awaitState(t, "scale", "absent"); !strings.Contains(d.Reason, "is it plugged in?") {
		t.Errorf("%+v", d)
	}
	for range 2 {
		a.plug(t)
		plugged := time.Now()
		go a.talk() // ends with pull
		r.awaitState(t, "scale", "good")
		t.Logf("good %v after it was plugged in", time.Since(plugged).Round(10*time.Millisecond))
		a.pull()
		if d := r.awaitState(t, "scale", "absent"); d.Reason == "" {
			t.Errorf("%+v", d)
		}
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if n := strings.Count(r.logs.String(), `code=device:scale summary="scale (lines on `+a.file); n != 3 {
		t.Errorf("%d lines of absence, want 3", n)
	}
}
