package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

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

// TestPortSendsNoHalfFrameLater: of a Write that was given up, what is still in
// the kernel goes nowhere.
func TestPortSendsNoHalfFrameLater(t *testing.T) {
	l := newLine(t)
	p := l.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	taken := 0
	err := p.Write(ctx, bytes.Repeat([]byte("x"), 1<<20))
	if err != nil {
		_, _ = fmt.Sscanf(err.Error(), "the port has taken only %d", &taken)
	}
	if taken == 0 {
		t.Fatalf("it has taken all: %v", err)
	}
	heard := make(chan int)
	go func() {
		var all []byte
		for chunk := make([]byte, 4096); !bytes.HasSuffix(all, []byte("fresh")); {
			n, err := l.far.Read(chunk)
			if err != nil {
				break
			}
			all = append(all, chunk[:n]...)
		}
		heard <- bytes.Count(all, []byte("x"))
	}()
	if err := p.Write(t.Context(), []byte("fresh")); err != nil {
		t.Fatal(err)
	}
	if late := <-heard; late >= taken {
		t.Errorf("%d bytes were taken, and %d came", taken, late)
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
