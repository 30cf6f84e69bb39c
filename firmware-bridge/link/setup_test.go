package link_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
)

const descriptor = `device name=mixer help="Mixer of the feed"
firmware name=mixer-fw version=1.2.0
channel id=1 name=temperature type=float unit=Cel
action id=1 name=set idempotent lease
arg name=on type=bool required
result name=on type=bool
action id=2 name=dose timeout=3000
arg name=amount type=int required
setting id=7 name=interval type=int unit=ms
`

// bench is a microcontroller on a line, and what happens to both.
type bench struct {
	*testing.T
	mcu     *linktest.MCU
	seed    uint64
	running sync.WaitGroup

	mu    sync.Mutex
	doses []int32 // what the action dose was asked for
}

// try runs a test in virtual time.
func try(t *testing.T, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, mcu: &linktest.MCU{Descriptor: descriptor}}
		b.mcu.Do = b.do
		f(b)
		b.running.Wait()
	})
}

func (b *bench) do(action uint8, lease time.Duration, args []link.Value) (link.Status, []link.Value) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(args) != 1 || lease > 0 && action != 1:
		return link.Invalid, nil
	case action == 1:
		return link.OK, args
	case action == 2 && args[0].Int < 0:
		return link.Denied, nil
	case action == 2:
		b.doses = append(b.doses, args[0].Int)
		return link.OK, nil
	}
	return link.Unknown, nil
}

// plug connects the microcontroller to a new line and returns the gateway's end.
func (b *bench) plug(f linktest.Faults) *linktest.End {
	b.seed++
	ours, theirs := linktest.Pipe(b.seed, f)
	b.running.Go(func() { _ = b.mcu.Run(theirs) })
	return ours
}

// open plugs it in and opens the link.
func (b *bench) open(o link.Options) (*link.Conn, *linktest.End) {
	b.Helper()
	line := b.plug(linktest.Faults{})
	c, err := link.Open(b.Context(), line, o)
	if err != nil {
		b.Fatal(err)
	}
	return c, line
}

// events takes events until there are n, or for a minute.
func (b *bench) events(c *link.Conn, n int) []link.Event {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var got []link.Event
	err := c.Each(ctx, func(e link.Event) error {
		if got = append(got, e); len(got) == n {
			cancel()
		}
		return nil
	})
	if len(got) < n {
		b.Fatalf("%d events in a minute, want %d: %v, %v", len(got), n, got, err)
	}
	return got
}

// brief is an event in one line.
func brief(e link.Event) string {
	switch e := e.(type) {
	case link.Began:
		return fmt.Sprintf("began %d, %v before %d", e.Start, e.Known, e.Before)
	case link.Readings:
		return fmt.Sprintf("readings %d-%d", e[0].Number, e[len(e)-1].Number)
	case link.Gap:
		return fmt.Sprintf("gap %d-%d", e.First, e.Last)
	case link.Line:
		return fmt.Sprintf("line %d %s, %d lost", e.Level, e.Text, e.Lost)
	}
	return "?"
}

func (b *bench) expect(c *link.Conn, want ...string) {
	b.Helper()
	var got []string
	for _, e := range b.events(c, len(want)) {
		got = append(got, brief(e))
	}
	if !slices.Equal(got, want) {
		b.Fatalf("the microcontroller tells %q, want %q", got, want)
	}
}
