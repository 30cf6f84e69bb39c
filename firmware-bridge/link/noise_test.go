package link_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
)

// TestNoise: whatever the line does to bytes, and however often the microcontroller
// is reset or hangs, no action is carried out twice, one that was answered was
// carried out, readings are what they were, arrive in order, and those that do not
// arrive are told, which are none as long as the microcontroller has room.
func TestNoise(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		faults := linktest.Faults{
			Drop:   rapid.Float64Range(0, 0.01).Draw(r, "drop"),
			Flip:   rapid.Float64Range(0, 0.01).Draw(r, "flip"),
			Repeat: rapid.Float64Range(0, 0.01).Draw(r, "repeat"),
			Insert: rapid.Float64Range(0, 0.01).Draw(r, "insert"),
			Cut:    rapid.Float64Range(0, 0.1).Draw(r, "cut"),
			Twice:  rapid.Float64Range(0, 0.1).Draw(r, "twice"),
			Delay:  time.Duration(rapid.IntRange(0, 30).Draw(r, "delay")) * time.Millisecond,
		}
		seed := rapid.Uint64().Draw(r, "seed")
		resets := rapid.SliceOfN(rapid.IntRange(0, rounds-1), 0, 4).Draw(r, "resets")
		hangs := rapid.SliceOfN(rapid.IntRange(0, rounds-1), 0, 2).Draw(r, "hangs")
		room := rapid.SampledFrom([]int{20, rounds}).Draw(r, "room")
		var fault error
		synctest.Test(t, func(t *testing.T) {
			b := &bench{T: t, seed: seed, mcu: &linktest.MCU{Descriptor: descriptor, Room: room}}
			b.mcu.Do = b.do
			fault = b.live(faults, resets, hangs)
			b.running.Wait()
		})
		if fault != nil {
			r.Fatal(fault)
		}
	})
}

// rounds is how many actions are asked for, with a reading before each.
const rounds = 200

// live lives through noise, and says what was wrong.
func (b *bench) live(faults linktest.Faults, resets, hangs []int) error {
	line := b.plug(faults)
	c, err := link.Open(b.Context(), line, link.Options{Patience: time.Hour})
	if err != nil {
		return err
	}
	defer c.Close()
	w := watcher{}
	b.running.Go(func() { _ = c.Each(b.Context(), w.take) })

	ended := map[int32]error{}
	boot, made := int32(1), int32(0)
	for i := range rounds {
		if slices.Contains(resets, i) {
			b.mcu.Reset(4)
			boot, made = boot+1, 0
		}
		if slices.Contains(hangs, i) {
			b.mcu.Hang(true)
			time.Sleep(7 * time.Second)
			b.mcu.Hang(false)
		}
		b.mcu.Emit(1, link.IntValue(boot<<16|made))
		made++
		_, ended[int32(i)] = c.Do(b.Context(), link.Action{ID: 2, Name: "dose", Args: make([]link.Arg, 1)}, 0, link.IntValue(int32(i)))
	}
	line.Become(linktest.Faults{})
	time.Sleep(time.Minute)
	if lost := c.Stats().Lost; b.mcu.Room == rounds && lost > 0 {
		return fmt.Errorf("%d readings are lost although there was room", lost)
	}
	return errors.Join(w.verdict(boot, uint32(made)), b.judge(ended))
}

// judge compares how actions ended with what was carried out.
func (b *bench) judge(ended map[int32]error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var faults []error
	for i, dose := range b.doses {
		if i > 0 && dose <= b.doses[i-1] {
			faults = append(faults, fmt.Errorf("dose %d was given behind dose %d", dose, b.doses[i-1]))
		}
	}
	for i, err := range ended {
		switch given := slices.Contains(b.doses, i); {
		case err == nil && !given:
			faults = append(faults, fmt.Errorf("dose %d was answered and not given", i))
		case err != nil && given && !errors.Is(err, link.ErrOutcome):
			faults = append(faults, fmt.Errorf("dose %d was given, but ended by: %w", i, err))
		}
	}
	return errors.Join(faults...)
}

// watcher checks what is told.
type watcher struct {
	mu    sync.Mutex
	boot  int32 // of the readings now; 0: none came yet
	next  uint32
	fault error
}

func (w *watcher) take(e link.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case link.Began:
		w.check(e.Start != link.Taken, "session %d is taken for one of another gateway: %+v", e.Session, e)
		if e.Start != link.Resumed {
			w.boot, w.next = 0, e.Next
		}
	case link.Gap:
		w.check(e.First == w.next && int32(e.Last-e.First) >= 0, "a gap of %d-%d, want %d", e.First, e.Last, w.next)
		w.next = e.Last + 1
	case link.Readings:
		for _, r := range e {
			if w.boot == 0 {
				w.boot = r.Value.Int >> 16
			}
			w.check(r.Number == w.next && r.Value == link.IntValue(w.boot<<16|int32(w.next)), "%+v, want number %d of boot %d", r, w.next, w.boot)
			w.next++
		}
	}
	return nil
}

func (w *watcher) check(ok bool, format string, args ...any) {
	if !ok && w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

// verdict is given when all must have come.
func (w *watcher) verdict(boot int32, made uint32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.check(w.next == made && w.boot == boot, "readings up to %d of boot %d were told, want %d of boot %d", w.next, w.boot, made, boot)
	return w.fault
}
