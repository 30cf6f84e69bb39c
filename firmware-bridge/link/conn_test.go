package link_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
	"github.com/fieldpost/fieldpost/gateway"
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

// TestReset: a reset is recognised and told, behind what came before it, and what
// was under way has an unknown outcome.
func TestReset(t *testing.T) {
	try(t, func(b *bench) {
		c, line := b.open(link.Options{})
		defer c.Close()
		b.mcu.Emit(1, link.FloatValue(1))
		b.mcu.Emit(1, link.FloatValue(2))
		b.expect(c, "began 2, false before 0", "readings 0-1")
		b.mcu.Emit(1, link.FloatValue(3))
		time.Sleep(20 * time.Millisecond)

		line.Become(linktest.Faults{Drop: 1})
		outcome := make(chan error, 1)
		go func() {
			_, err := c.Do(b.Context(), link.Action{ID: 2, Name: "dose", Args: make([]link.Arg, 1)}, 0, link.IntValue(5))
			outcome <- err
		}()
		time.Sleep(100 * time.Millisecond)
		line.Become(linktest.Faults{})
		b.mcu.Reset(4)
		if err := <-outcome; !errors.Is(err, link.ErrOutcome) || !errors.Is(err, link.ErrReset) {
			b.Errorf("the action that was under way: %v", err)
		}
		b.mcu.Emit(1, link.FloatValue(4))
		b.expect(c, "readings 2-2", "began 2, true before 3", "readings 0-0")
		if s := c.Stats(); s.Resets != 2 || s.Sessions != 2 || s.Lost != 0 {
			b.Errorf("the counts are %+v", s)
		}
	})
}

// TestResetsUntold: resets that nobody has heard of become one.
func TestResetsUntold(t *testing.T) {
	try(t, func(b *bench) {
		c, _ := b.open(link.Options{})
		defer c.Close()
		b.expect(c, "began 2, false before 0")
		for range 3 {
			b.mcu.Emit(1, link.FloatValue(1))
			b.mcu.Emit(1, link.FloatValue(1))
			b.mcu.Reset(4)
			time.Sleep(time.Second)
		}
		b.expect(c, "began 2, true before 0")
	})
}

// TestOverflow: readings for which there was no room are told by their numbers.
func TestOverflow(t *testing.T) {
	try(t, func(b *bench) {
		c, line := b.open(link.Options{})
		defer c.Close()
		b.expect(c, "began 2, false before 0")
		line.Become(linktest.Faults{Drop: 1})
		for range 30 {
			b.mcu.Emit(1, link.IntValue(1))
		}
		time.Sleep(time.Second)
		line.Become(linktest.Faults{})
		first := b.events(c, 1)
		if got := brief(first[0]); got != "gap 0-9" {
			b.Fatalf("first comes %s", got)
		}
		next := uint32(10)
		for next < 30 {
			for _, r := range b.events(c, 1)[0].(link.Readings) {
				if r.Number != next {
					b.Fatalf("number %d comes, want %d", r.Number, next)
				}
				next++
			}
		}
		if s := c.Stats(); s.Lost != 10 || s.Readings != 20 || s.Sessions != 1 {
			b.Errorf("the counts are %+v", s)
		}
	})
}

// TestNobodyTakes: while nobody takes readings, the microcontroller keeps them; what
// was handed on and refused comes again, also on the next Conn.
func TestNobodyTakes(t *testing.T) {
	try(t, func(b *bench) {
		b.mcu.Room = 500
		c, line := b.open(link.Options{})
		b.expect(c, "began 2, false before 0")
		for range 400 {
			b.mcu.Emit(1, link.FloatValue(1))
			time.Sleep(10 * time.Millisecond)
		}
		if n := b.mcu.Held(); n != 400 {
			b.Errorf("%d readings are held, want 400", n)
		}
		errRefused := errors.New("refused")
		refuse := func(link.Event) error { return errRefused }
		for range 2 {
			if err := c.Each(b.Context(), refuse); !errors.Is(err, errRefused) {
				b.Errorf("refused: %v", err)
			}
		}
		line.Close()
		<-time.After(time.Second)
		if err := c.Err(); !errors.Is(err, gateway.ErrUnavailable) {
			b.Errorf("unplugged: %v", err)
		}
		c.Close()
		c, _ = b.open(link.Options{Memory: c.Memory()})
		defer c.Close()
		next, resumed := uint32(0), false
		for next < 400 || !resumed {
			switch e := b.events(c, 1)[0].(type) {
			case link.Readings:
				for _, r := range e {
					if r.Number != next {
						b.Fatalf("number %d comes, want %d", r.Number, next)
					}
					next++
				}
			case link.Began:
				resumed = e.Start == link.Resumed
			}
		}
		time.Sleep(5 * time.Second)
		if s := c.Stats(); b.mcu.Held() != 0 || s.Lost != 0 || s.Readings != 400 {
			b.Errorf("%d are held, the counts are %+v", b.mcu.Held(), s)
		}
	})
}

// TestRestart: a gateway that knows nothing goes on where the last one has
// acknowledged.
func TestRestart(t *testing.T) {
	try(t, func(b *bench) {
		c, _ := b.open(link.Options{})
		b.mcu.Emit(1, link.FloatValue(1))
		b.expect(c, "began 2, false before 0", "readings 0-0")
		time.Sleep(100 * time.Millisecond)
		b.mcu.Log(link.Info, "one")
		c.Close()
		for range 25 {
			b.mcu.Emit(1, link.FloatValue(1))
		}
		c, _ = b.open(link.Options{})
		defer c.Close()
		b.expect(c, "began 1, false before 0", "gap 1-5", "readings 6-11", "readings 12-17", "readings 18-23", "readings 24-25")
		b.mcu.Log(link.Info, "of which this gateway has not heard the ones before")
		b.expect(c, "line 1 of which this gateway has not heard the ones before, 0 lost")
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

// TestTime: readings have the gateway's time, also those that were held.
func TestTime(t *testing.T) {
	try(t, func(b *bench) {
		c, line := b.open(link.Options{Now: time.Now})
		defer c.Close()
		line.Become(linktest.Faults{Delay: 20 * time.Millisecond})
		time.Sleep(10 * time.Second)
		var made []time.Time
		for range 10 {
			made = append(made, time.Now())
			b.mcu.Emit(1, link.FloatValue(1))
			time.Sleep(300 * time.Millisecond)
		}
		b.mcu.Log(link.Warning, "hot")
		at := time.Now()
		b.expect(c, "began 2, false before 0")
		for len(made) > 0 {
			for _, r := range b.events(c, 1)[0].(link.Readings) {
				if off := r.Time.Sub(made[0]).Abs(); off > 5*time.Millisecond {
					b.Errorf("a reading is off by %v", off)
				}
				made = made[1:]
			}
		}
		line1 := b.events(c, 1)[0].(link.Line)
		if off := line1.Time.Sub(at).Abs(); off > 5*time.Millisecond || line1.Level != link.Warning {
			b.Errorf("the line %+v is off by %v", line1, off)
		}
		if rtt := c.Stats().RoundTrip; rtt < 30*time.Millisecond || rtt > 60*time.Millisecond {
			b.Errorf("the round trip is %v, want about 40 ms", rtt)
		}
	})
}

// TestLog: lines that are lost are counted.
func TestLog(t *testing.T) {
	try(t, func(b *bench) {
		c, line := b.open(link.Options{})
		defer c.Close()
		b.mcu.Log(link.Info, "one")
		b.expect(c, "began 2, false before 0", "line 1 one, 0 lost")
		line.Become(linktest.Faults{Drop: 1})
		b.mcu.Log(link.Info, "two")
		b.mcu.Log(link.Info, "three")
		line.Become(linktest.Faults{})
		b.mcu.Log(link.Error, "four\x1b\xff")
		b.expect(c, "line 3 four \uFFFD, 2 lost")
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
