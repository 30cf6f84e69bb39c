package disk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	Apart()
	m.Run()
}

func newDisk(t *testing.T, o Options) (*Disk, string) {
	t.Helper()
	if err := Available(); err != nil {
		t.Skipf("no disk here: %v", err)
	}
	dir := t.TempDir() // removed after the disk
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.Mount(dir); err != nil {
		t.Fatal(err)
	}
	return d, dir
}

// TestACutLeavesWhatWasSynced, and an honest disk nothing less; of what was not
// synced it takes at least a part.
func TestACutLeavesWhatWasSynced(t *testing.T) {
	for _, lying := range []bool{false, true} {
		d, dir := newDisk(t, Options{Size: 64 << 20})
		d.Lie(lying)
		r := rand.New(rand.NewPCG(1, 2))
		syncedLost, looseLost := 0, 0
		for range 8 {
			body := make([]byte, 200_000)
			for i := range body {
				body[i] = byte(r.Uint32())
			}
			synced, loose := filepath.Join(dir, "synced"), filepath.Join(dir, "loose")
			if err := writeFile(synced, body, true); err != nil {
				t.Fatal(err)
			}
			if err := writeFile(loose, body, false); err != nil {
				t.Fatal(err)
			}
			if err := d.Cut(r, func() {}); err != nil {
				t.Fatal(err)
			}
			if err := d.Mount(dir); err != nil {
				if lying {
					return // it has lost even its file system: as good a proof
				}
				t.Fatal(err)
			}
			if got, err := os.ReadFile(synced); err != nil || !bytes.Equal(got, body) {
				syncedLost++
			}
			if got, err := os.ReadFile(loose); err != nil || !bytes.Equal(got, body) {
				looseLost++
			}
		}
		if lost := syncedLost > 0; lost != lying {
			t.Errorf("lying %v: %d synced files lost of 8", lying, syncedLost)
		}
		if looseLost == 0 {
			t.Errorf("lying %v: no loose file lost", lying)
		}
	}
}

func writeFile(path string, body []byte, sync bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Write(body); err != nil || !sync {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
