package link_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
)

// adapter is between the gateway and a line, and goes on when the gateway closes it: what
// is under way in it comes to whoever opens it next.
type adapter struct {
	line  *linktest.End
	heard chan []byte
}

func (a *adapter) listen() {
	for {
		b := make([]byte, 256)
		n, err := a.line.Read(b)
		if err != nil {
			close(a.heard)
			return
		}
		a.heard <- b[:n]
	}
}

// open opens the adapter, as it is.
func (a *adapter) open() *port { return &port{adapter: a, closed: make(chan struct{})} }

// port is an adapter that is open.
type port struct {
	*adapter
	rest   []byte
	once   sync.Once
	closed chan struct{}
}

func (p *port) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		select {
		case heard, more := <-p.heard:
			if !more {
				return 0, io.EOF
			}
			p.rest = heard
		case <-p.closed:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *port) Write(b []byte) (int, error) { return p.line.Write(b) }

func (p *port) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// step is something that happens, and a pause behind it.
type step struct {
	what  string
	pause time.Duration
}

// TestLate: however long frames are under way, and whenever the microcontroller is reset or
// the port opened anew meanwhile, each reset is noticed, and no session is taken for one of
// another gateway.
func TestLate(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		delay := time.Duration(rapid.IntRange(0, 1500).Draw(r, "delay")) * time.Millisecond
		twice := rapid.SampledFrom([]float64{0, 0.2}).Draw(r, "twice")
		cut := rapid.SampledFrom([]float64{0, 0.2}).Draw(r, "cut")
		seed := rapid.Uint64().Draw(r, "seed")
		steps := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) step {
			return step{
				rapid.SampledFrom([]string{"reset", "reopen", "measure", "hang", "wait"}).Draw(r, "what"),
				time.Duration(rapid.IntRange(0, 3000).Draw(r, "pause")) * time.Millisecond,
			}
		}), 1, 20).Draw(r, "steps")
		var fault error
		synctest.Test(t, func(t *testing.T) {
			b := &bench{T: t, seed: seed, mcu: &linktest.MCU{Descriptor: descriptor, Room: 200}}
			fault = b.late(linktest.Faults{Delay: delay, Twice: twice, Cut: cut}, steps)
			b.running.Wait()
		})
		if fault != nil {
			r.Fatal(fault)
		}
	})
}

// late lives through the steps, and says what was wrong.
func (b *bench) late(faults linktest.Faults, steps []step) error {
	ctx, stop := context.WithCancel(b.Context())
	line := b.plug(faults)
	a := &adapter{line: line, heard: make(chan []byte)}
	b.running.Go(a.listen)
	synctest.Wait() // it has booted
	w := watcher{}
	reopen := make(chan struct{}, len(steps))
	b.running.Go(func() { b.useBySpells(ctx, a, reopen, w.take) })
	boot, made := int32(1), int32(0)
	for _, s := range steps {
		switch s.what {
		case "reset":
			b.mcu.Reset(4)
			boot, made = boot+1, 0
		case "reopen":
			reopen <- struct{}{}
		case "measure":
			b.mcu.Emit(1, link.IntValue(boot<<16|made))
			made++
		case "hang":
			b.mcu.Hang(true)
			time.Sleep(5 * time.Second)
			b.mcu.Hang(false)
		}
		time.Sleep(s.pause)
	}
	line.Become(linktest.Faults{})
	time.Sleep(time.Minute)
	b.mcu.Emit(1, link.IntValue(boot<<16|made))
	made++
	time.Sleep(time.Minute)
	stop()
	line.Close()
	return w.verdict(boot, uint32(made))
}

// TestResetBehindTheAnswer: the microcontroller is reset after it has answered HELLO, and
// gets the next attempt before anybody knows of that.
func TestResetBehindTheAnswer(t *testing.T) {
	try(t, func(b *bench) {
		c, _ := b.open(link.Options{})
		b.mcu.Emit(1, link.IntValue(1))
		b.expect(c, "began 2, false before 0", "readings 0-0")
		c.Close()
		line := b.plug(linktest.Faults{Delay: 150 * time.Millisecond})
		time.AfterFunc(350*time.Millisecond, func() { b.mcu.Reset(4) }) // the second attempt comes 50 ms later
		c, err := link.Open(b.Context(), line, link.Options{Memory: c.Memory()})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.expect(c, "began 2, true before 1")
	})
}

// TestSlowLine: however long answers take, a session begins, with a loader that is to stay, too.
func TestSlowLine(t *testing.T) {
	for _, stay := range []bool{false, true} {
		for delay := 50 * time.Millisecond; delay <= 1200*time.Millisecond; delay += 50 * time.Millisecond {
			try(t, func(b *bench) {
				line := b.plug(linktest.Faults{Delay: delay})
				c, err := link.Open(b.Context(), line, link.Options{Stay: stay})
				if err != nil {
					b.Fatalf("delay %v, stay %v: %v", delay, stay, err)
				}
				c.Close()
			})
		}
	}
}

// useBySpells opens the link, takes what is told, and opens it anew when it has ended, or is
// to.
func (b *bench) useBySpells(ctx context.Context, a *adapter, reopen chan struct{}, take func(link.Event) error) {
	memory := link.NewMemory()
	memory.Chance(1)
	for ctx.Err() == nil {
		c, err := link.Open(ctx, a.open(), link.Options{Memory: memory, Patience: 5 * time.Second})
		if err != nil {
			continue
		}
		spell, end := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() {
			select {
			case <-reopen:
				end()
			case <-spell.Done():
			}
		})
		_ = c.Each(spell, take)
		end()
		watching.Wait()
		c.Close()
	}
	for range a.heard { // until the line ends
	}
}
