package bus_test

import (
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

// TestOpeningThatIsGivenUpDoesNotHoldThePort: the next one waits for it, and is not
// told that somebody else has the port.
func TestOpeningThatIsGivenUpDoesNotHoldThePort(t *testing.T) {
	l := newLine(t)
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if p, err := l.set.Port(ctx, l.config()); err == nil {
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
		p, err := l.set.Port(t.Context(), l.config())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
