package trials

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/storeforward/trials/disk"
)

const diskBytes = 192 << 20

// mounted is a new disk, mounted.
func mounted(t *testing.T, o disk.Options) (*disk.Disk, string) {
	t.Helper()
	if err := disk.Available(); err != nil {
		t.Skipf("no disk here: %v", err)
	}
	dir := t.TempDir() // removed after the disk
	d, err := disk.New(o)
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

func rounds(t *testing.T, usual int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("STOREFORWARD_CUT_ROUNDS")); err == nil {
		return n
	}
	return usual
}

// TestAPowerCutLosesNothing that was confirmed, again and again on one disk.
func TestAPowerCutLosesNothing(t *testing.T) {
	d, dir := mounted(t, disk.Options{Size: diskBytes})
	c := newCourt(filepath.Join(dir, "queue"))
	n := rounds(t, 15)
	for round := range n {
		if broken := cutOnce(t, d, dir, c); len(broken) > 0 {
			t.Fatalf("cut %d: %q", round+1, broken)
		}
	}
	t.Logf("%d cuts, %d messages accepted, %d commands, %d flushes", n, c.accepted, c.commands.heard, d.Stats().Flushes)
}

// TestTheTrialFindsWhatALyingCacheLoses: it is able to find a loss.
func TestTheTrialFindsWhatALyingCacheLoses(t *testing.T) {
	d, dir := mounted(t, disk.Options{Size: diskBytes})
	c := newCourt(filepath.Join(dir, "queue"))
	d.Lie(true)
	for round := range 15 {
		if broken := cutOnce(t, d, dir, c); len(broken) > 0 {
			t.Logf("cut %d: %.200q", round+1, broken[0])
			return
		}
	}
	t.Error("nothing was lost in 15 cuts by a disk that does not flush")
}

// cutOnce runs a writer for a moment, cuts the power, and judges what is left.
func cutOnce(t *testing.T, d *disk.Disk, dir string, c *court) (broken []string) {
	t.Helper()
	w := c.start(t)
	if rand.IntN(4) > 0 { // else while the store is being opened
		before := c.acceptedSoFar()
		waitFor(t, "the first message", func() bool { return c.acceptedSoFar() > before || w.dead() })
	}
	time.Sleep(rand.N(300 * time.Millisecond)) // the moment is drawn by lot
	if err := d.Cut(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), w.kill); err != nil {
		t.Fatal(err)
	}
	if err := d.Mount(dir); err != nil {
		c.breaks("mount: %v", err)
		return c.broken
	}
	return c.judge()
}

// dead reports whether a writer has said its last word.
func (w *writer) dead() bool {
	select {
	case <-w.heard:
		return true
	default:
		return false
	}
}
