package link_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
	"github.com/fieldpost/fieldpost/gateway"
)

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
