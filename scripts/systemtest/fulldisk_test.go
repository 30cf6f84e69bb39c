//go:build wide

package systemtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk makes the data directory of a gateway in dir a disk of 160 MB. It
// needs root.
func smallDisk(t *testing.T, dir string) string {
	t.Helper()
	disk := filepath.Join(dir, "data")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Fatalf("mount a small tmpfs: %v; run this test as root", err)
	}
	t.Cleanup(func() { // after the gateway has ended
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// TestDiskFillsUp: another program fills the disk under the gateway's store,
// down to the last block, and leaves again. The gateway neither dies nor loses
// what it has accepted, and goes on by itself. It needs root, for a small tmpfs.
func TestDiskFillsUp(t *testing.T) {
	dir := t.TempDir()
	disk := smallDisk(t, dir)
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, filepath.Join(disk, "somebody-elses"))
	s := g.awaitCondition(t, "queue-refuses")
	if !strings.Contains(s.condition("queue-refuses"), "delete files there") {
		t.Errorf("the condition says %q", s.condition("queue-refuses"))
	}
	answers, err := g.ingest([]string{`{"name":"level","value":2}`})
	if err != nil || len(answers) != 1 || !strings.Contains(answers[0], "error") {
		t.Errorf("a reading on the full disk was answered %q (%v), want an error", answers, err)
	}
	if err := os.Remove(filepath.Join(disk, "somebody-elses")); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		answers, err := g.ingest([]string{`{"name":"level","value":3}`})
		if err == nil && (len(answers) != 1 || !strings.Contains(answers[0], `"id"`)) {
			err = fmt.Errorf("answered %q", answers)
		}
		return err
	})
	eventually(t, 30*time.Second, func() error {
		s, err := g.status()
		if err == nil && s.condition("queue-refuses") != "" {
			err = fmt.Errorf("the condition stands: %s", s.condition("queue-refuses"))
		}
		return err
	})
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	judgeAudit(t, h)
}

// fillDisk writes until nothing more fits.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
