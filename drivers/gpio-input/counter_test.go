package gpioinput

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// pulses gives n pulses to ground, so long apart.
func (r *rig) pulses(n int, apart time.Duration) {
	for range n {
		r.chip.Drive("GPIO17", false)
		r.chip.Drive("GPIO17", true)
		time.Sleep(apart)
	}
}

func high() *drivertest.Chip {
	chip := drivertest.NewChip("gpiochip0", "pinctrl-bcm2711", "GPIO17")
	chip.Drive("GPIO17", true)
	return chip
}

func meter() Config {
	c := plain("counter")
	c.PerPulse, c.Unit, c.Start = 0.5, "m3", 1000
	return c
}

func TestCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &card{}
		r := wire(t, meter(), high(), m)
		if got := r.chip.Requested("GPIO17"); got.Edges != gpiochip.ActiveEdges || !got.ActiveLow || got.Pull != gpiochip.PullUp {
			t.Errorf("requested %+v", got)
		}
		r.start(t)
		r.saysNext(t, "count=0, total=1000m3")
		r.pulses(120, 500*time.Millisecond) // 2 Hz for a minute: a report
		r.saysNext(t, "rate=2Hz, flow=3600m3/h")
		time.Sleep(9 * time.Minute)
		if said := r.said(); !strings.HasSuffix(said, ", rate=0Hz, flow=0m3/h, count=120, total=1060m3") || strings.Count(said, "count") != 1 {
			t.Errorf("after ten minutes it says %q", said)
		}
		time.Sleep(24 * time.Hour)
		if m.count() != 1 {
			t.Errorf("it has saved %d times", m.count())
		}
		if said := r.said(); strings.Count(said, "count=120") != 24*60 {
			t.Errorf("what is safe is told at each report: %d times", strings.Count(said, "count=120"))
		}
		r.pulses(24*3600, time.Second)
		if n := m.count() - 1; n < 24*6-1 || n > 24*6+1 {
			t.Errorf("in a day it has saved %d times", n)
		}
		r.end(t)
	})
}

// TestNoPulseIsLost: nobody looks at 10,000 pulses, ten times what the kernel
// keeps.
func TestNoPulseIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, plain("counter"), high(), nil)
		r.pulses(10_000, time.Millisecond)
		r.start(t)
		r.said()
		time.Sleep(time.Minute)
		if said := r.said(); !strings.HasSuffix(said, "count=10000") {
			t.Errorf("it says %q", said)
		}
		r.end(t)
	})
}

// TestReedContact: bounces are not counted.
func TestReedContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plain("counter")
		c.Debounce = debounce(20 * time.Millisecond)
		r := wire(t, c, high(), nil)
		r.start(t)
		for range 100 {
			for _, open := range []bool{false, true} {
				for range 10 {
					r.chip.Drive("GPIO17", open)
					r.chip.Drive("GPIO17", !open)
					time.Sleep(time.Millisecond)
				}
				r.chip.Drive("GPIO17", open)
				time.Sleep(200 * time.Millisecond)
			}
		}
		r.said()
		time.Sleep(time.Minute)
		if said := r.said(); !strings.HasSuffix(said, "count=100") {
			t.Errorf("it says %q", said)
		}
		r.end(t)
	})
}

// TestCountOverRestarts: after a clean end nothing is missing, after a kill what
// was not told yet at most; and no count that is told is below an earlier one.
// TestPulseDuringARefusal: with the sink refusing, Run ends and is called again;
// the pulse that is under way then counts once.
func TestPulseDuringARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := meter()
		c.Debounce = debounce(30 * time.Millisecond)
		r := wire(t, c, high(), nil)
		r.start(t)
		r.saysNext(t, "count=0, total=1000m3")
		r.end(t)
		r.chip.Drive("GPIO17", false) // a pulse begins while nobody watches
		r.start(t)
		time.Sleep(time.Second)
		r.chip.Drive("GPIO17", true)
		time.Sleep(time.Second)
		r.end(t)
		if count, _ := r.tally.now(); count != 1 {
			t.Errorf("%d pulses, want 1", count)
		}
	})
}

func TestCountOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &card{}
		told, pulsed := 0.0, 0.0
		for round, kill := range []bool{false, true, false, true, true, false, false} {
			r := wire(t, plain("counter"), high(), m)
			r.start(t)
			time.Sleep(time.Second / 2) // no pulse at the moment of a report
			r.pulses(777, time.Second)  // ten minutes and more
			r.end(t)
			pulsed += 777
			for _, batch := range r.sink.Batches() {
				for _, reading := range batch {
					if n, _ := reading.Value.Number(); reading.Name == "count" {
						if n < told || n > pulsed {
							t.Errorf("round %d: it tells %v after %v, of %v", round, n, told, pulsed)
						}
						told = n
					}
				}
			}
			if kill {
				_ = r.in.Close() // the kernel does that much
				pulsed -= 777 - 600
			} else if err := r.Close(); err != nil {
				t.Error(err)
			}
			if got := float64(parse(m.data)); got != pulsed {
				t.Errorf("round %d: the card has %v, want %v", round, got, pulsed)
			}
		}
	})
}

func TestCardThatDoesNotSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &card{}
		r := wire(t, plain("counter"), high(), m)
		r.start(t)
		r.pulses(5, time.Second)
		m.fail(errors.New("the card is full"))
		if err := <-r.done; err == nil || !strings.Contains(err.Error(), "the count 5 cannot be saved: the card is full") {
			t.Errorf("Run: %v", err)
		}
		if said := r.said(); strings.Contains(said, "count=5") {
			t.Errorf("it tells what is not safe: %q", said)
		}
		r.pulses(2000, time.Millisecond) // between two runs
		if err := r.Close(); err == nil {
			t.Error("Close keeps still about it")
		}
		m.fail(nil)
		if err := r.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.pulses(3, time.Second)
		r.start(t)
		time.Sleep(time.Minute)
		if said := r.said(); !strings.HasSuffix(said, "count=8") { // 2000 were in the line that was closed
			t.Errorf("it says %q", said)
		}
		r.end(t)
	})
}

func TestCardThatCannotBeRead(t *testing.T) {
	r := wire(t, plain("counter"), nil, nil)
	_ = r.Close()
	m := &card{fault: errors.New("it does not answer")}
	r.Remember(m)
	if err := r.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "it does not answer") {
		t.Errorf("Open: %v", err)
	}
	if !r.chip.Free() {
		t.Error("the line is left taken")
	}
	for raw, want := range map[string]uint64{
		"": 0, "nonsense": 0, `{"count":-1}`: 0, `{"count":1.5}`: 0, `{"total":7}`: 0, `{"count":18446744073709551615}`: 1<<64 - 1, `{"count":7}`: 7,
	} {
		if got := parse([]byte(raw)); got != want {
			t.Errorf("%s: %d, want %d", raw, got, want)
		}
	}
}

func TestStateHasNoMemory(t *testing.T) {
	m := &card{}
	r := wire(t, plain("contact"), nil, m)
	if err := r.Close(); err != nil || m.count() != 0 {
		t.Errorf("Close: %v, saved %d times", err, m.count())
	}
	var _ gateway.Rememberer = r.Dev
}
