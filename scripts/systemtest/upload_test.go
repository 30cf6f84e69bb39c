//go:build wide

package systemtest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// uploadTime bounds an upload, pauses between its attempts included.
const uploadTime = 90 * time.Second

// newUploader is a gateway that uploads to h, at 1 MB/s so that there is
// something to interrupt.
func newUploader(t *testing.T, dir string, h *hub) *gateway {
	t.Helper()
	_, port, _ := strings.Cut(h.info.HTTPS, ":")
	return newGateway(t, dir, h, "    ca_file:", "    https_port: "+port+"\n    max_rate: 1MB/s\n    ca_file:",
		"queue:\n", "uploads: {max_bytes: 120MB}\nqueue:\n")
}

// randomFile writes a file that does not shrink, and returns its path and sum.
func randomFile(t *testing.T, dir string, size int) (path string, sum [32]byte) {
	t.Helper()
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data) // never fails
	path = filepath.Join(dir, "capture.bin")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, sha256.Sum256(data)
}

// handIn runs fieldpost upload.
func (g *gateway) handIn(t *testing.T, file string, more ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(program(t, "fieldpost"), append([]string{"upload", file, "--socket", g.socket()}, more...)...).CombinedOutput()
	return string(out), err
}

// TestUploadAndPowerCuts: gateway and hub are killed again and again while a
// file is on its way. It arrives whole, and most of it once only.
func TestUploadAndPowerCuts(t *testing.T) {
	const size = 6 << 20
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newUploader(t, dir, h)
	file, sum := randomFile(t, dir, size)
	eventually(t, uploadTime, func() error {
		out, err := g.handIn(t, file, "--name", "a/capture.bin", "--no-wait")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err := os.Remove(file); err != nil { // the gateway has its own
		t.Fatal(err)
	}
	for round := range 4 {
		awaitBlocks(t, h, round+1)
		g.process.kill()
		if round == 1 {
			h.process.kill()
			h.restart(t)
		}
		g.start(t)
	}
	eventually(t, uploadTime, func() error {
		blob, err := h.get("/hubsim/blobs/gw/a/capture.bin")
		if err == nil && sha256.Sum256([]byte(blob)) != sum {
			err = fmt.Errorf("%d bytes have arrived, and not those that were sent", len(blob))
		}
		return err
	})
	eventually(t, uploadTime, func() error {
		uploads, err := h.get("/hubsim/uploads")
		if err == nil && strings.Count(uploads, `"isSuccess":true`) != 1 {
			err = fmt.Errorf("the hub does not know: %s", uploads)
		}
		return err
	})
	eventually(t, uploadTime, func() error {
		left, err := filepath.Glob(filepath.Join(dir, "data", "uploads", "*.data"))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("left in the spool: %v", left)
		}
		return err
	})
}

// awaitBlocks waits until the storage has so many blocks of something, or all.
func awaitBlocks(t *testing.T, h *hub, n int) {
	t.Helper()
	eventually(t, uploadTime, func() error {
		staged, err := filepath.Glob(filepath.Join(h.dir, "blobs", "*", "staged", "*"))
		whole, err2 := filepath.Glob(filepath.Join(h.dir, "blobs", "*", "content"))
		if err = errors.Join(err, err2); err == nil && len(whole) == 0 && len(staged) < n {
			err = fmt.Errorf("%d blocks have arrived, want %d", len(staged), n)
		}
		return err
	})
}

// TestUploadOnAFullDisk is refused, leaves nothing behind and works when there
// is room again. It needs root, for a small tmpfs.
func TestUploadOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	disk := smallDisk(t, dir)
	h := startHub(t, dir)
	g := newUploader(t, dir, h)
	g.awaitUp(t)
	file, _ := randomFile(t, dir, 105<<20) // of 160 MiB, 64 MB have to stay free, whatever the queue has taken
	out, err := g.handIn(t, file)
	if err == nil || !strings.Contains(out, "have to stay so") {
		t.Errorf("it was answered %q, %v", out, err)
	}
	if left, err := filepath.Glob(filepath.Join(disk, "uploads", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.Truncate(file, 1<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := g.handIn(t, file); err != nil || !strings.Contains(out, "gw/capture.bin: done") {
		t.Errorf("a smaller one was answered %q, %v", out, err)
	}
}

// awaitUp waits until the gateway answers.
func (g *gateway) awaitUp(t *testing.T) {
	t.Helper()
	eventually(t, uploadTime, func() error {
		_, err := g.status()
		return err
	})
}
