package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// line is a serial line whose far end is in the hands of a test.
type line struct {
	far  *os.File
	path string
	set  *bus.Set
}

func newLine(t *testing.T) *line {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	path := near.Name()
	near.Close()
	l := &line{far: far, path: path, set: bus.New(bus.Options{})}
	t.Cleanup(func() {
		if err := l.set.Close(); err != nil {
			t.Errorf("closing the set: %v", err)
		}
		far.Close()
	})
	return l
}

func (l *line) config() bus.PortConfig {
	return bus.PortConfig{Port: l.path, Baud: 115200, DataBits: 8, Parity: "none", StopBits: 1, DTR: bus.Keep, RTS: bus.Keep}
}

func (l *line) open(t *testing.T) *bus.Port {
	t.Helper()
	p, err := l.set.Port(t.Context(), l.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing the port: %v", err)
		}
	})
	return p
}

func (l *line) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(l.far, text); err != nil {
		t.Fatal(err)
	}
}

// hear reads n bytes from a port.
func hear(t *testing.T, p *bus.Port, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var all []byte
	for len(all) < n {
		b := make([]byte, n-len(all))
		k, err := p.Read(ctx, b)
		if err != nil {
			t.Fatalf("after %q: %v", all, err)
		}
		all = append(all, b[:k]...)
	}
	return string(all)
}

func TestPortCarriesBytesBothWays(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	l.say(t, string(every))
	if got := hear(t, p, 256); got != string(every) {
		t.Errorf("came as % x", got)
	}
	if err := p.Write(t.Context(), every); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 256)
	if _, err := io.ReadFull(l.far, got); err != nil || !bytes.Equal(got, every) {
		t.Errorf("went as % x (%v)", got, err)
	}
}

func TestPortReadEndsWithItsContext(t *testing.T) {
	p := newLine(t).open(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(errors.New("enough"))
	if _, err := p.Read(ctx, make([]byte, 1)); !errors.Is(err, context.Canceled) || errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("%v, want the error of the context", err)
	}
}

// TestPortTellsUnpluggedFromSilent: tarm/serial says EOF to both.
func TestPortTellsUnpluggedFromSilent(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond) // several timeouts of tarm's
	defer cancel()
	if _, err := p.Read(ctx, make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("while it is silent: %v", err)
	}
	l.say(t, "last words")
	if got := hear(t, p, 1); got != "l" {
		t.Fatalf("%q", got)
	}
	l.far.Close()
	if got := hear(t, p, 9); got != "ast words" {
		t.Errorf("what came before it was unplugged: %q", got)
	}
	for range 2 {
		if _, err := p.Read(t.Context(), make([]byte, 1)); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "unplugged") {
			t.Errorf("read when unplugged: %v", err)
		}
	}
	if err := p.Write(t.Context(), []byte("x")); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("write when unplugged: %v", err)
	}
	if err := p.Settle(t.Context(), time.Millisecond); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("settle when unplugged: %v", err)
	}
}

func TestPortClosesWhileItIsRead(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	l.say(t, "x")
	hear(t, p, 1)
	reading := make(chan error)
	go func() {
		_, err := p.Read(t.Context(), make([]byte, 1))
		reading <- err
	}()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-reading; !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Read: %v", err)
	}
	if err := p.Write(t.Context(), []byte("x")); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Write: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestPortWriteIsBounded(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.Write(ctx, make([]byte, 1<<20)) // nobody reads it
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "of 1048576 bytes") {
		t.Errorf("into a full line: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := p.Write(ctx, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, l.far) }()
	if err := p.Write(t.Context(), make([]byte, 1<<16)); err != nil {
		t.Errorf("once it is read again: %v", err)
	}
}

func TestPortWriteHasItsOwnBound(t *testing.T) {
	l := newLine(t)
	c := l.config()
	c.Baud = 4_000_000
	p, err := l.set.Port(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(t.Context(), make([]byte, 1<<17)); !errors.Is(err, gateway.ErrTimeout) {
		t.Errorf("%v, want gateway.ErrTimeout", err)
	}
}

func TestPortDropsWhatCameBefore(t *testing.T) {
	l := newLine(t)
	l.say(t, "banner")
	p := l.open(t)
	l.say(t, "fresh")
	if got := hear(t, p, 5); got != "fresh" {
		t.Errorf("after opening: %q", got)
	}
	l.say(t, "half a fra")
	hear(t, p, 1)
	if err := p.Discard(); err != nil {
		t.Fatal(err)
	}
	l.say(t, "whole")
	if got := hear(t, p, 5); got != "whole" {
		t.Errorf("after Discard: %q", got)
	}
}

func TestPortSettles(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	talk, hush := context.WithCancel(t.Context())
	silent := make(chan struct{})
	go func() {
		defer close(silent)
		for talk.Err() == nil {
			_, _ = io.WriteString(l.far, "noise")
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Settle(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("on a line that is never silent: %v", err)
	}
	hush()
	<-silent
	if err := p.Settle(t.Context(), 150*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	l.say(t, "frame")
	if got := hear(t, p, 5); got != "frame" {
		t.Errorf("after it has settled: %q", got)
	}
}

// TestPortKeepsTheNewestOfAFlood: and what follows a loss that was told is whole.
func TestPortKeepsTheNewestOfAFlood(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	var said strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&said, "%07d\n", i)
	}
	said.WriteString("end.")
	l.say(t, said.String())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	losses := 0
	var heard []byte
	for chunk := make([]byte, 4096); !bytes.HasSuffix(heard, []byte("end.")); {
		n, err := p.Read(ctx, chunk)
		if err != nil && !errors.Is(err, gateway.ErrFull) {
			t.Fatal(err)
		}
		if err != nil {
			losses++
			heard = nil
		}
		heard = append(heard, chunk[:n]...)
	}
	if losses == 0 || len(heard) < 1000 || !strings.HasSuffix(said.String(), string(heard)) {
		t.Errorf("%d losses were told, %d bytes heard after the last, from %q", losses, len(heard), heard[:min(20, len(heard))])
	}
}

func TestPortOpensAgainAfterItWasUnplugged(t *testing.T) {
	l := newLine(t)
	stable := t.TempDir() + "/adapter" // as the links in /dev/serial/by-id
	plug := func(path string) {
		os.Remove(stable)
		if err := os.Symlink(path, stable); err != nil {
			t.Fatal(err)
		}
	}
	plug(l.path)
	l.path = stable
	p := l.open(t)
	l.far.Close()
	if _, err := p.Read(t.Context(), make([]byte, 1)); !errors.Is(err, gateway.ErrUnavailable) {
		t.Fatalf("unplugged: %v", err)
	}
	os.Remove(stable)
	if _, err := l.set.Port(t.Context(), l.config()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "plugged in?") {
		t.Errorf("while it is away: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	again := newLine(t)
	plug(again.path)
	l.far = again.far
	p = l.open(t)
	again.say(t, "back")
	if got := hear(t, p, 4); got != "back" {
		t.Errorf("%q", got)
	}
}

func TestPortIsExclusive(t *testing.T) {
	l := newLine(t)
	l.open(t)
	_, err := l.set.Port(t.Context(), l.config())
	if !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "another device of this gateway") {
		t.Errorf("twice in one gateway: %v", err)
	}
	near, err := os.OpenFile(l.path, os.O_RDWR|unix.O_NOCTTY, 0) // as root, who is let in
	if err != nil {
		t.Skipf("the exclusive mode works: %v", err)
	}
	defer near.Close()
	if on, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGEXCL); err != nil || on == 0 {
		t.Errorf("exclusive mode %d (%v)", on, err)
	}
}

func TestPortHeldByAnotherProcessIsNamed(t *testing.T) {
	l := newLine(t)
	other := exec.CommandContext(t.Context(), "flock", l.path, "sh", "-c", "echo locked; cat")
	in, _ := other.StdinPipe()
	out, _ := other.StdoutPipe()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("locked\n"))); err != nil {
		t.Fatal(err)
	}
	_, err := l.set.Port(t.Context(), l.config())
	if want := fmt.Sprintf("flock (process %d)", other.Process.Pid); err == nil || !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	in.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	l.open(t)
}

func TestPortSetsTheLine(t *testing.T) {
	for _, baud := range []int{50, 1200, 9600, 14400, 28800, 31250, 74880, 115200, 128000, 250000, 256000, 4_000_000, 12345} {
		t.Run(fmt.Sprint(baud), func(t *testing.T) {
			l := newLine(t)
			c := l.config()
			c.Baud, c.DataBits, c.Parity, c.StopBits = baud, 7, "even", 2
			p, err := l.set.Port(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			set, err := unix.IoctlGetTermios(int(l.far.Fd()), unix.TCGETS2)
			if err != nil {
				t.Fatal(err)
			}
			if int(set.Ospeed) != baud {
				t.Errorf("%d baud", set.Ospeed)
			}
			// A pseudo terminal has no parity: the kernel keeps 8 bits without.
			if set.Cflag&unix.HUPCL != 0 || set.Lflag != 0 || set.Cflag&unix.CSTOPB == 0 {
				t.Errorf("cflag %#o, lflag %#o", set.Cflag, set.Lflag)
			}
		})
	}
}

func TestPortSaysWhatItCannot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bus.PortConfig)
		want   string
		kind   error
	}{
		"rs485":     {func(c *bus.PortConfig) { c.RS485 = &bus.RS485Config{Send: "high"} }, "cannot switch a transceiver", gateway.ErrInvalid},
		"dtr":       {func(c *bus.PortConfig) { c.DTR = bus.Off }, "no line DTR", gateway.ErrInvalid},
		"rts":       {func(c *bus.PortConfig) { c.RTS = bus.On }, "no line RTS", gateway.ErrInvalid},
		"null":      {func(c *bus.PortConfig) { c.Port = "/dev/null" }, "no serial port", gateway.ErrInvalid},
		"missing":   {func(c *bus.PortConfig) { c.Port = "/dev/ttyNOWHERE" }, "plugged in?", gateway.ErrUnavailable},
		"baud":      {func(c *bus.PortConfig) { c.Baud = 49 }, "50 to 4000000", gateway.ErrInvalid},
		"data bits": {func(c *bus.PortConfig) { c.DataBits = 9 }, "5 to 8", gateway.ErrInvalid},
		"stop bits": {func(c *bus.PortConfig) { c.StopBits = 3 }, "1 to 2", gateway.ErrInvalid},
		"parity":    {func(c *bus.PortConfig) { c.Parity = "mark" }, "none, even or odd", gateway.ErrInvalid},
		"level":     {func(c *bus.PortConfig) { c.DTR = "high" }, "keep, on or off", gateway.ErrInvalid},
		"twice RTS": {func(c *bus.PortConfig) { c.RTS, c.RS485 = bus.On, &bus.RS485Config{} }, "RTS switches the transceiver", gateway.ErrInvalid},
		"pause":     {func(c *bus.PortConfig) { c.RS485 = &bus.RS485Config{Before: 1500 * time.Microsecond} }, "rs485.before", gateway.ErrInvalid},
		"no port":   {func(c *bus.PortConfig) { c.Port = "" }, "port: is missing", gateway.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t)
			config := l.config()
			c.change(&config)
			if _, err := l.set.Port(t.Context(), config); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			// Nothing is left locked or exclusive.
			l.open(t)
		})
	}
}

func TestPortTimes(t *testing.T) {
	for _, c := range []struct {
		baud       int
		parity     string
		stop       int
		takes, gap time.Duration // of 12 characters
	}{
		{9600, "none", 1, 12500 * time.Microsecond, 3645833 * time.Nanosecond},
		{1200, "even", 1, 110 * time.Millisecond, 32083333 * time.Nanosecond},
		{115200, "none", 2, 1145833 * time.Nanosecond, 1750 * time.Microsecond},
	} {
		p := bus.PortConfig{Baud: c.baud, DataBits: 8, Parity: c.parity, StopBits: c.stop}
		if p.Takes(12) != c.takes || p.Gap() != c.gap {
			t.Errorf("%d %s %d: %v and %v, want %v and %v", c.baud, c.parity, c.stop, p.Takes(12), p.Gap(), c.takes, c.gap)
		}
	}
}

func TestSetClosesItsPorts(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	if err := l.set.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(t.Context(), make([]byte, 1)); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Read: %v", err)
	}
	if _, err := l.set.Port(t.Context(), l.config()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a port of a Set that is closed: %v", err)
	}
}

// TestPortsLeaveNothingBehind: neither descriptors nor goroutines, however they
// end.
func TestPortsLeaveNothingBehind(t *testing.T) {
	count := func() (files, routines int) {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open), runtime.NumGoroutine()
	}
	set := bus.New(bus.Options{})
	once := func(unplug bool) {
		far, near, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		near.Close()
		p, err := set.Port(t.Context(), (&line{path: near.Name()}).config())
		if err != nil {
			t.Fatal(err)
		}
		if unplug {
			far.Close()
			_, _ = p.Read(t.Context(), make([]byte, 1))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		far.Close()
		bad := (&line{path: "/dev/null"}).config()
		if _, err := set.Port(t.Context(), bad); err == nil {
			t.Error("/dev/null is a port")
		}
	}
	once(true)
	files, routines := count()
	for i := range 50 {
		once(i%2 == 0)
	}
	for range 1000 { // a goroutine is counted until it has really ended
		if f, r := count(); f <= files && r <= routines {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	f, r := count()
	t.Errorf("%d files and %d goroutines, %d and %d before", f, r, files, routines)
}
