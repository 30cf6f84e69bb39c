package link_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
	"github.com/fieldpost/fieldpost/gateway"
)

func TestSession(t *testing.T) {
	try(t, func(b *bench) {
		b.mcu.Room = 200
		c, _ := b.open(link.Options{})
		defer c.Close()
		b.expect(c, "began 2, false before 0")
		ctx := b.Context()
		d, err := c.Descriptor(ctx)
		if err != nil || d.Name != "mixer" || len(d.Actions) != 2 {
			b.Fatalf("the descriptor is %+v, %v", d, err)
		}
		requests := c.Stats().FramesOut
		if again, err := c.Descriptor(ctx); again != d || err != nil || c.Stats().FramesOut != requests {
			b.Errorf("the descriptor was fetched again: %v", err)
		}
		got, err := c.Do(ctx, d.Actions[0], time.Second, link.BoolValue(true))
		if err != nil || !slices.Equal(got, []link.Value{link.BoolValue(true)}) {
			b.Errorf("set: %v, %v", got, err)
		}
		if v, err := c.Set(ctx, d.Settings[0], link.IntValue(250)); err != nil || v.Int != 250 {
			b.Errorf("SET: %v, %v", v, err)
		}
		if v, err := c.Get(ctx, d.Settings[0]); err != nil || v.Int != 250 {
			b.Errorf("GET: %v, %v", v, err)
		}
		for i := range 100 {
			b.mcu.Emit(1, link.FloatValue(float32(i)))
			time.Sleep(10 * time.Millisecond)
		}
		next := uint32(0)
		for next < 100 {
			for _, r := range b.events(c, 1)[0].(link.Readings) {
				if r.Number != next || r.Value.Float != float32(next) {
					b.Fatalf("%+v comes, want number %d", r, next)
				}
				next++
			}
		}
		time.Sleep(time.Second)
		if n := b.mcu.Held(); n != 0 {
			b.Errorf("%d readings were not acknowledged", n)
		}
		s := c.Stats()
		if s.Requests < 3 || s.Retries != 0 || s.Damaged != 0 || s.Foreign != 0 || s.Readings != 100 || s.Sessions != 1 {
			b.Errorf("on a sound line: %+v", s)
		}
	})
}

// TestRefusals: what a microcontroller refuses comes as an error that can be decided
// on, and what it could only refuse is not sent.
func TestRefusals(t *testing.T) {
	try(t, func(b *bench) {
		c, _ := b.open(link.Options{})
		defer c.Close()
		d, err := c.Descriptor(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		set, dose := d.Actions[0], d.Actions[1]
		nothing := link.Action{ID: 99, Name: "nothing", Args: dose.Args}
		for _, c2 := range []struct {
			action link.Action
			lease  time.Duration
			args   []link.Value
			want   error
		}{
			{dose, 0, []link.Value{link.IntValue(-1)}, gateway.ErrDenied},
			{dose, 0, nil, gateway.ErrInvalid},
			{nothing, 0, []link.Value{link.IntValue(1)}, gateway.ErrUnknown},
			{dose, time.Second, []link.Value{link.IntValue(1)}, gateway.ErrInvalid},
			{set, time.Microsecond, []link.Value{link.BoolValue(true)}, gateway.ErrInvalid},
			{set, -time.Second, []link.Value{link.BoolValue(true)}, gateway.ErrInvalid},
			{set, 1 << 31 * time.Millisecond, []link.Value{link.BoolValue(true)}, gateway.ErrInvalid},
			{set, 0, []link.Value{link.BoolValue(true), link.BoolValue(true)}, gateway.ErrInvalid},
			{set, 0, []link.Value{link.TextValue(strings.Repeat("x", 256))}, gateway.ErrInvalid},
			{set, 0, []link.Value{link.TextValue(strings.Repeat("x", 60))}, gateway.ErrInvalid},
		} {
			if _, err := c.Do(b.Context(), c2.action, c2.lease, c2.args...); !errors.Is(err, c2.want) || errors.Is(err, link.ErrOutcome) {
				b.Errorf("%s %v: %v, want %v", c2.action.Name, c2.args, err, c2.want)
			}
		}
		if len(b.doses) != 0 {
			b.Errorf("doses %v were given", b.doses)
		}
		if err := c.Update(b.Context(), &link.Image{}, nil); !errors.Is(err, gateway.ErrUnknown) {
			b.Errorf("an update without a loader: %v", err)
		}
	})
}

// TestChance: a microcontroller that is in a session of the number that a gateway
// begins with by chance does not take its actions for old ones.
func TestChance(t *testing.T) {
	try(t, func(b *bench) {
		dose := link.Action{ID: 2, Name: "dose", Args: make([]link.Arg, 1)}
		for _, first := range []uint16{10, 10, 11, 12} { // each but the first begins in a session of before
			m := link.NewMemory()
			m.Chance(first)
			c, _ := b.open(link.Options{Memory: m})
			for range 3 {
				if _, err := c.Do(b.Context(), dose, 0, link.IntValue(1)); err != nil {
					b.Error(err)
				}
			}
			c.Close()
		}
		if len(b.doses) != 4*3 {
			b.Errorf("%d doses were given, want 12", len(b.doses))
		}
	})
}

// TestHang: a microcontroller that is silent ends the session, then the Conn; one
// that comes back in time goes on.
func TestHang(t *testing.T) {
	try(t, func(b *bench) {
		c, _ := b.open(link.Options{})
		b.expect(c, "began 2, false before 0")
		b.mcu.Hang(true)
		time.Sleep(6 * time.Second)
		b.mcu.Hang(false)
		b.expect(c, "began 0, true before 0")
		b.mcu.Hang(true)
		err := c.Each(b.Context(), func(link.Event) error { return nil })
		if !errors.Is(err, gateway.ErrTimeout) {
			b.Errorf("of a microcontroller that hangs: %v", err)
		}
		c.Close()
		b.mcu.Hang(false)
		c, _ = b.open(link.Options{Memory: c.Memory()})
		defer c.Close()
		b.expect(c, "began 0, true before 0")
	})
}

// TestOpenFails: Open tells why, and leaves nothing behind.
func TestOpenFails(t *testing.T) {
	try(t, func(b *bench) {
		silent, far := linktest.Pipe(1, linktest.Faults{})
		if _, err := link.Open(b.Context(), silent, link.Options{Patience: 3 * time.Second}); !errors.Is(err, gateway.ErrTimeout) {
			b.Errorf("of nobody: %v", err)
		}
		if _, err := far.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
			b.Errorf("the line is still open: %v", err)
		}
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		silent, _ = linktest.Pipe(1, linktest.Faults{})
		if _, err := link.Open(ctx, silent, link.Options{}); !errors.Is(err, context.DeadlineExceeded) {
			b.Errorf("until a deadline: %v", err)
		}
		if _, err := link.Open(b.Context(), silent, link.Options{}); !errors.Is(err, gateway.ErrUnavailable) {
			b.Errorf("of a closed line: %v", err)
		}
		b.mcu.Version = 2
		if _, err := link.Open(b.Context(), b.plug(linktest.Faults{}), link.Options{}); !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "versions 2 to 2") {
			b.Errorf("of another version: %v", err)
		}
	})
}

// TestStaleBytes: what was on its way before the port was opened does no harm.
func TestStaleBytes(t *testing.T) {
	try(t, func(b *bench) {
		line := b.plug(linktest.Faults{})
		time.Sleep(3 * time.Second) // greetings pile up
		for i := range 50 {
			b.mcu.Babble(link.Frame{Version: 1, Type: link.TypeReadings, Session: 77, Payload: make([]byte, 14)}.Append(nil)[i%20:])
		}
		c, err := link.Open(b.Context(), line, link.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.expect(c, "began 2, false before 0")
		time.Sleep(5 * time.Second)
		if s := c.Stats(); s.Sessions != 1 || s.Foreign == 0 {
			b.Errorf("the counts are %+v", s)
		}
	})
}

// TestFlood: a peer that floods the line costs no memory, and what is right among it
// is understood.
func TestFlood(t *testing.T) {
	try(t, func(b *bench) {
		c, _ := b.open(link.Options{})
		defer c.Close()
		h, err := c.Hello(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		session := uint16(0)
		greeting := link.Frame{Version: 1, Type: link.TypeHello.Answer(), Payload: h.Append(nil)}.Append(nil)
		for i := range 20000 {
			f := link.Frame{Version: 1, Type: link.Type(i), Session: session, Number: uint16(i), Payload: make([]byte, i%100)}
			b.mcu.Babble(f.Append(nil))
			if i%1000 == 0 {
				b.mcu.Babble(greeting)
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
			session++
		}
		time.Sleep(3 * time.Second)
		out := c.Stats().FramesOut
		if out > 500 {
			b.Errorf("%d frames were sent to a peer that floods", out)
		}
		if _, err := c.Descriptor(b.Context()); err != nil {
			b.Error(err)
		}
	})
}

// TestHeartbeat: the microcontroller hears from the gateway often enough, whatever
// its timeout, and fail-safe is told when it does not.
func TestHeartbeat(t *testing.T) {
	for _, timeout := range []time.Duration{500 * time.Millisecond, 5 * time.Second, time.Minute} {
		try(t, func(b *bench) {
			b.mcu.Timeout = timeout
			c, line := b.open(link.Options{})
			defer c.Close()
			time.Sleep(3 * time.Minute)
			if safe, n := b.mcu.Safe(); safe || n != 0 {
				b.Errorf("fail-safe was taken %d times", n)
			}
			line.Become(linktest.Faults{Drop: 1})
			time.Sleep(max(timeout, 5*time.Second) + time.Second)
			line.Become(linktest.Faults{})
			time.Sleep(5 * time.Second)
			if timeout > 5*time.Second {
				return // the Conn has given up before
			}
			if s := c.Stats(); s.Failsafes != 1 {
				b.Errorf("fail-safe was told %d times, want 1", s.Failsafes)
			}
		})
	}
}

// TestFailsafes: those are noticed that were taken while this gateway was in command, not
// those of the time before it, and none because a reset begins their count anew.
func TestFailsafes(t *testing.T) {
	try(t, func(b *bench) {
		deaf := func(line *linktest.End) {
			line.Become(linktest.Faults{Drop: 1})
			time.Sleep(6 * time.Second)
			line.Become(linktest.Faults{})
			time.Sleep(5 * time.Second)
		}
		c, line := b.open(link.Options{})
		deaf(line)
		c.Close()
		c, line = b.open(link.Options{})
		defer c.Close()
		want := uint64(0)
		for i, happens := range []func(){
			func() {},
			func() { deaf(line); want++ },
			func() { b.mcu.Reset(1) },
			func() { deaf(line); want++ },
		} {
			happens()
			time.Sleep(3 * time.Second)
			if s := c.Stats(); s.Noticed != want {
				b.Errorf("after step %d: %d are noticed, want %d: %+v", i, s.Noticed, want, s)
			}
		}
	})
}

// TestLongAction: an action that may take long does not keep the heartbeat away, even
// if its first frame is lost.
func TestLongAction(t *testing.T) {
	try(t, func(b *bench) {
		b.mcu.Timeout = time.Second
		c, line := b.open(link.Options{})
		defer c.Close()
		d, err := c.Descriptor(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		line.Become(linktest.Faults{Drop: 1})
		time.AfterFunc(500*time.Millisecond, func() { line.Become(linktest.Faults{}) })
		if _, err := c.Do(b.Context(), d.Actions[1], 0, link.IntValue(7)); err != nil {
			b.Error(err)
		}
		if safe, n := b.mcu.Safe(); safe || n != 0 || c.Stats().Retries != 1 {
			b.Errorf("fail-safe was taken %d times, the counts are %+v", n, c.Stats())
		}
	})
}

// TestWindow: requests without an answer never exceed what the microcontroller can
// hold, and yet more than one is under way.
func TestWindow(t *testing.T) {
	try(t, func(b *bench) {
		c, line := b.open(link.Options{})
		defer c.Close()
		time.Sleep(100 * time.Millisecond)
		line.Become(linktest.Faults{Delay: 50 * time.Millisecond})
		began := time.Now()
		var asking sync.WaitGroup
		for range 70 {
			asking.Go(func() {
				if _, err := c.Get(b.Context(), link.Setting{ID: 1}); err != nil {
					b.Error(err)
				}
			})
		}
		asking.Wait()
		// A GET is 14 bytes on the wire, so that 11 fit in 160.
		if took := time.Since(began); took < 700*time.Millisecond || took > 900*time.Millisecond {
			b.Errorf("70 requests took %v, want 7 rounds of 100 ms", took)
		}
	})
}

// TestClose: closing ends whatever waits.
func TestClose(t *testing.T) {
	try(t, func(b *bench) {
		c, line := b.open(link.Options{})
		line.Become(linktest.Faults{Drop: 1})
		ends := make(chan error, 3)
		go func() { ends <- c.Each(b.Context(), func(link.Event) error { return nil }) }()
		go func() {
			_, err := c.Get(b.Context(), link.Setting{ID: 1})
			ends <- err
		}()
		go func() {
			_, err := c.Do(b.Context(), link.Action{ID: 1, Args: make([]link.Arg, 1)}, 0, link.BoolValue(true))
			ends <- err
		}()
		time.Sleep(100 * time.Millisecond)
		c.Close()
		c.Close()
		for range 3 {
			if err := <-ends; !errors.Is(err, link.ErrClosed) {
				b.Errorf("it ends by %v", err)
			}
		}
	})
}
