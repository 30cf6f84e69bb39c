//go:build bridge

package systemtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// badLine joins two ttys, and does to the bytes between them what a bad line does. What
// it does follows from its seed, apart from how the bytes come in.
type badLine struct {
	name string // of the tty that the gateway opens
	each int    // one of so many bytes is dropped, one is changed, one is repeated

	running                    sync.WaitGroup
	mu                         sync.Mutex
	random                     *rand.Rand
	frames, bytes              int // in both directions; of the chip
	dropped, changed, repeated int
}

// startBadLine leads to the tty of a chip.
func startBadLine(t testing.TB, chip string, seed uint64, each int) *badLine {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	raw(t, near)
	there, err := os.OpenFile(chip, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw(t, there)
	l := &badLine{name: near.Name(), each: each, random: rand.New(rand.NewPCG(seed, 1))}
	near.Close()
	stop := make(chan struct{})
	ignored := 0
	l.running.Go(func() { l.carry(far, there, &ignored, stop) })
	l.running.Go(func() { l.carry(there, far, &l.bytes, stop) })
	t.Cleanup(func() {
		close(stop)
		_ = there.Close()
		_ = far.Close()
		l.running.Wait()
	})
	return l
}

// raw makes a tty a plain line.
func raw(t testing.TB, tty *os.File) {
	t.Helper()
	set, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	set.Iflag, set.Oflag, set.Lflag = 0, 0, 0
	set.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	set.Cc[unix.VMIN], set.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, set); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(tty.Fd()), true); err != nil {
		t.Fatal(err)
	}
}

// carry is one direction; it counts the bytes.
func (l *badLine) carry(from, to *os.File, count *int, stop chan struct{}) {
	var split link.Splitter
	chunk := make([]byte, 512)
	for {
		n, err := from.Read(chunk)
		split.Split(chunk[:n], func(link.Frame) {
			l.mu.Lock()
			l.frames++
			l.mu.Unlock()
		})
		l.mu.Lock()
		*count += n
		l.mu.Unlock()
		if n > 0 {
			_, _ = to.Write(l.spoil(chunk[:n])) // what the other side does not take is lost
		}
		select {
		case <-stop:
			return
		default:
		}
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil: // nobody has the port open
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// spoil does to b what the line does.
func (l *badLine) spoil(b []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]byte, 0, len(b)+8)
	for _, x := range b {
		switch l.random.IntN(l.each) {
		case 0:
			l.dropped++
			continue
		case 1:
			l.changed++
			x ^= 1 << l.random.IntN(8)
		case 2:
			l.repeated++
			out = append(out, x)
		}
		out = append(out, x)
	}
	return out
}

func (l *badLine) did() (frames, bytes int, faults string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames, l.bytes, fmt.Sprintf("%d bytes dropped, %d changed, %d repeated", l.dropped, l.changed, l.repeated)
}

// framesWanted is how many frames pass a bad line: FIELDPOST_BRIDGE_FRAMES, or 20,000.
func framesWanted(t testing.TB) int {
	t.Helper()
	text := os.Getenv("FIELDPOST_BRIDGE_FRAMES")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBridgeBadLine: a line that drops, changes and repeats bytes. Each number that the
// firmware tells comes to the hub, once, in order and unchanged.
func TestBridgeBadLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make   func(t testing.TB, dir string) *chip
		frames int
		each   int
	}{
		"as quick as the machine":        {hostChip, framesWanted(t), often},
		"simulated chip":                 {simulated, framesWanted(t) / 20, often},
		"simulated chip on a sound line": {simulated, framesWanted(t) / 20, 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chip := c.make(t, t.TempDir())
			numbersOverABadLine(t, chip, c.frames, c.each)
		})
	}
}

// often is how seldom a byte is dropped, and changed, and repeated: one frame in 20
// arrives damaged.
const often = 2500

func simulated(t testing.TB, dir string) *chip {
	t.Helper()
	return newChip(t, dir, readBuilt(t, "node-test.bin"))
}

func numbersOverABadLine(t *testing.T, c *chip, frames, each int) {
	const seed = 7
	h := startHub(t, c.dir)
	c.powerUp(t)
	l := startBadLine(t, c.tty, seed, each)
	g := newGateway(t, c.dir, h, "devices:\n", fmt.Sprintf("devices:\n  - {id: node, driver: mcu, port: %s, statistics: 2s}\n", l.name))
	g.awaitConnected(t)
	var b toldBy
	b.await(t, h, "firmware", equals("node 1.0.0"))
	// What is measured would take the place of numbers, if it came too often.
	if err := h.sendC2D("gw", "interval", `{"device":"node","action":"change-settings","args":{"interval":30000}}`); err != nil {
		t.Fatal(err)
	}
	if r := h.awaitResult(t, "interval"); r.Status != "done" {
		t.Fatalf("%+v", r)
	}
	before, bytesBefore, _ := l.did()
	began := time.Now()
	const portion = 1000
	total := 0
	for passed := before; passed < before+frames; passed, _, _ = l.did() {
		id := fmt.Sprintf("burst-%d", total)
		if err := h.sendC2D("gw", id, fmt.Sprintf(`{"device":"node","action":"burst","args":{"count":%d}}`, portion)); err != nil {
			t.Fatal(err)
		}
		total += portion
		eventually(t, 2*time.Minute, func() error {
			if b.more(t, h); b.last("serial") != float64(total-1) {
				return fmt.Errorf("the last number is %v, want %d", b.last("serial"), total-1)
			}
			return nil
		})
	}
	took := time.Since(began)
	passed, bytes, faults := l.did()
	passed, bytes = passed-before, bytes-bytesBefore
	const fastest = 115200 / 10 // bytes a second
	t.Logf("%d frames in %v, %.0f a second; the chip has sent %.0f %% of what 115200 baud can carry; %s; %d numbers",
		passed, took.Round(time.Millisecond), float64(passed)/took.Seconds(), 100*float64(bytes)/took.Seconds()/fastest, faults, total)
	next, seq := 0.0, uint64(0)
	for _, r := range b.readings {
		if r.Seq > 0 && r.Seq != seq+1 && seq > 0 {
			t.Fatalf("%s has the number %d behind %d", r.Name, r.Seq, seq)
		}
		if r.Seq > 0 {
			seq = r.Seq
		}
		if r.Name != "serial" {
			continue
		}
		if r.Value != next {
			t.Fatalf("%v where %v was told", r.Value, next)
		}
		next++
	}
	if int(next) != total || len(b.gaps) > 0 {
		t.Errorf("%v numbers of %d have come, gaps %+v", next, total, b.gaps)
	}
}
