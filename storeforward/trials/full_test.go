package trials

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/storeforward"
	"github.com/fieldpost/fieldpost/storeforward/trials/disk"
)

// small mounts a tmpfs.
func small(t *testing.T, options string) string {
	t.Helper()
	if err := disk.Available(); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("no tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestAFullDisk: another program fills the file system to its last block, again
// and again. The gateway says so, loses nothing, and goes on by itself once
// there is room. The program may also take each block that comes free; and the
// disk may be too small for a ballast.
func TestAFullDisk(t *testing.T) {
	places := map[string]func(t *testing.T) string{
		"tmpfs":  func(t *testing.T) string { return small(t, "size=160m") },
		"narrow": func(t *testing.T) string { return small(t, "size=100m") },
		"ext4": func(t *testing.T) string {
			_, dir := mounted(t, disk.Options{Size: diskBytes})
			return dir
		},
	}
	for place, mount := range places {
		for habit, occupy := range map[string]func(*testing.T, string) (leave func()){"once": occupy, "greedily": occupyGreedily} {
			t.Run(place+" "+habit, func(t *testing.T) { fullDisk(t, mount(t), occupy) })
		}
	}
}

// fullDisk lets a gateway run in dir while somebody else occupies the disk.
func fullDisk(t *testing.T, dir string, occupy func(*testing.T, string) (leave func())) {
	t.Helper()
	c := newCourt(filepath.Join(dir, "queue"))
	w := c.start(t)
	goesOn(t, c, w)
	for round := range 4 {
		heard := len(c.refusals())
		leave := sync.OnceFunc(occupy(t, filepath.Join(dir, "other")))
		t.Cleanup(leave)
		waitFor(t, "a refusal", func() bool { return refusedSince(c, heard, "disk") || w.dead() })
		time.Sleep(rand.N(500 * time.Millisecond)) // how long is drawn by lot
		switch round {
		case 1: // it also starts while the disk is full
			w.kill()
			w = c.start(t)
			waitFor(t, "a start", func() bool { return len(c.refusals()) > heard+1 || w.dead() })
		case 3: // and is stopped
			w.end(t)
			w = c.start(t)
		}
		wantAlive(t, w)
		leave()
		goesOn(t, c, w)
	}
	w.end(t)
	if broken := c.judge(); len(broken) > 0 {
		t.Errorf("%q", broken)
	}
	t.Logf("%d messages accepted, %d refusals", c.accepted, len(c.refused))
}

// goesOn waits until more has been accepted.
func goesOn(t *testing.T, c *court, w *writer) {
	t.Helper()
	before := c.acceptedSoFar()
	waitFor(t, "more that is accepted", func() bool { return c.acceptedSoFar() > before+100 || w.dead() })
	wantAlive(t, w)
}

func wantAlive(t *testing.T, w *writer) {
	t.Helper()
	if w.dead() {
		t.Fatalf("the gateway has died: %s", w.stderr.String())
	}
}

func refusedSince(c *court, heard int, words string) bool {
	return slices.ContainsFunc(c.refusals()[heard:], func(line string) bool { return strings.Contains(line, words) })
}

// occupy fills the file system with a file, faster than any card is.
func occupy(t *testing.T, path string) (leave func()) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 1<<20); err == nil; time.Sleep(10 * time.Millisecond) {
		_, err = f.Write(piece)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(path), f.Close()); err != nil {
			t.Error(err)
		}
	}
}

// occupyGreedily fills the file system as fast as it can and then goes on taking
// what comes free.
func occupyGreedily(t *testing.T, path string) (leave func()) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	full, stop, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		isFull := sync.OnceFunc(func() { close(full) })
		for piece := make([]byte, 64<<10); ; {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := f.Write(piece); err != nil {
				isFull()
				time.Sleep(time.Millisecond)
			}
		}
	}()
	<-full
	return func() {
		close(stop)
		<-stopped
		if err := errors.Join(os.Remove(path), f.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestErrorsOfTheDisk: the disk fails its flushes, or its writes, for good.
// Nothing is confirmed from then on, and nothing that was is lost.
func TestErrorsOfTheDisk(t *testing.T) {
	for name, fail := range map[string]func(*disk.Disk, bool){
		"flushes": (*disk.Disk).FailSyncs, "writes": (*disk.Disk).FailWrites,
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := mounted(t, disk.Options{Size: diskBytes})
			c := newCourt(filepath.Join(dir, "queue"))
			for range 3 {
				w := c.start(t)
				goesOn(t, c, w)
				heard := len(c.refusals())
				fail(d, true)
				waitFor(t, "a refusal", func() bool { return refusedSince(c, heard, "refused") || w.dead() })
				time.Sleep(rand.N(200 * time.Millisecond)) // it tries again and again
				if w.dead() {
					t.Logf("the gateway has died: %.300s", w.stderr.String())
				}
				// The file system needs to be mounted anew after that.
				if err := d.Cut(nil, w.kill); err != nil {
					t.Fatal(err)
				}
				fail(d, false)
				if err := d.Mount(dir); err != nil {
					t.Fatal(err)
				}
				if broken := c.judge(); len(broken) > 0 {
					t.Fatalf("%q", broken)
				}
			}
		})
	}
}

// TestAReadOnlyDisk is named in the error, and is no damage.
func TestAReadOnlyDisk(t *testing.T) {
	d, dir := mounted(t, disk.Options{Size: diskBytes})
	c := newCourt(filepath.Join(dir, "queue"))
	w := c.start(t)
	goesOn(t, c, w)
	w.end(t)
	if err := d.Remount(true); err != nil {
		t.Fatal(err)
	}
	_, err := storeforward.Open(options(c.dir))
	if err == nil || errors.Is(err, storeforward.ErrDamaged) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%v, want an error that says so", err)
	}
	if err := d.Remount(false); err != nil {
		t.Fatal(err)
	}
	if broken := c.judge(); len(broken) > 0 {
		t.Errorf("%q", broken)
	}
}
