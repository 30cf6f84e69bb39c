package gpioinput

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// card is a memory that counts.
type card struct {
	mu    sync.Mutex
	data  []byte
	saves int
	fault error
}

func (c *card) Load() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data, c.fault
}

func (c *card) Save(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault == nil {
		c.data = data
		c.saves++
	}
	return c.fault
}

func (c *card) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = err
}

func (c *card) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saves
}

// rig is an input on a line of a simulated chip, and what it says.
type rig struct {
	*Dev
	chip *drivertest.Chip
	sink *drivertest.Sink
	done chan error
	stop context.CancelFunc
}

func plain(kind string) Config {
	return Config{LineConfig: bus.LineConfig{Line: "GPIO17"}, Kind: kind, ReportEvery: time.Minute, SaveEvery: 10 * time.Minute}
}

func debounce(d time.Duration) *time.Duration { return &d }

func wire(t *testing.T, c Config, chip *drivertest.Chip, m gateway.Memory) *rig {
	t.Helper()
	if chip == nil {
		chip = drivertest.NewChip("gpiochip0", "pinctrl-bcm2711", "GPIO17")
	}
	d, err := New(c, bus.New(bus.Options{Hardware: bus.Hardware{GPIO: drivertest.GPIO{chip}}}))
	if err != nil {
		t.Fatal(err)
	}
	if m != nil {
		d.Remember(m)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return &rig{Dev: d, chip: chip, sink: &drivertest.Sink{}, done: make(chan error, 1)}
}

// start runs the stream within the bubble of a synctest.
func (r *rig) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.done <- r.Run(ctx, r.sink) }()
	synctest.Wait()
}

func (r *rig) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// said is all that was told since the last time, as text.
func (r *rig) said() string {
	synctest.Wait()
	var all []string
	for _, batch := range r.sink.Batches() {
		for _, reading := range batch {
			if _, known := r.config.Quantities()[reading.Name]; !known {
				all = append(all, "(unknown to check)")
			}
			text := fmt.Sprintf("%s=%v%s", reading.Name, reading.Value, reading.Unit)
			if reading.Quality != "" {
				text += " " + string(reading.Quality)
			}
			all = append(all, text)
		}
	}
	r.sink.Forget()
	return strings.Join(all, ", ")
}

func (r *rig) saysNext(t *testing.T, want string) {
	t.Helper()
	if got := r.said(); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// toggle changes the line n times, so long apart, beginning with high.
func (r *rig) toggle(n int, apart time.Duration) {
	for i := range n {
		r.chip.Drive("GPIO17", i%2 == 0)
		time.Sleep(apart)
	}
}

func TestContract(t *testing.T) {
	for _, kind := range []string{"input", "contact", "pir", "button", "counter"} {
		t.Run(kind, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) any {
				c := plain(kind)
				if kind == "counter" {
					c.PerPulse, c.Unit = 0.5, "m3"
				}
				return wire(t, c, nil, &card{}).Dev
			})
		})
	}
}

// TestKinds: how each is wired, and what it says when the line goes high.
func TestKinds(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		config Config
		pull   gpiochip.Pull
		low    string
		high   string
	}{
		{plain("input"), gpiochip.PullAsIs, "active=false", "active=true"},
		{plain("contact"), gpiochip.PullUp, "open=false", "open=true"},
		{plain("pir"), gpiochip.PullDown, "motion=false", "motion=true"},
		{plain("button"), gpiochip.PullUp, "pressed=true", "pressed=false"},
		{Config{Kind: "button", ActiveLow: &no, Pull: "down"}, gpiochip.PullDown, "pressed=false", "pressed=true"},
		{Config{Kind: "input", ActiveLow: &yes, Pull: "none"}, gpiochip.PullNone, "active=true", "active=false"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.config.Line, c.config.ReportEvery = "GPIO17", time.Minute
			r := wire(t, c.config, nil, nil)
			if got := r.chip.Requested("GPIO17"); got.Pull != c.pull || got.Edges != gpiochip.BothEdges || got.Direction != gpiochip.Input {
				t.Errorf("%s: requested %+v", c.config.Kind, got)
			}
			r.start(t)
			r.saysNext(t, c.low)
			r.chip.Drive("GPIO17", true)
			time.Sleep(30 * time.Millisecond)
			r.saysNext(t, c.high)
			time.Sleep(time.Minute - time.Second)
			r.saysNext(t, "")
			time.Sleep(time.Second)
			r.saysNext(t, c.high)
			r.end(t)
		})
	}
}

func TestBounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, plain("input"), nil, nil)
		r.start(t)
		r.saysNext(t, "active=false")
		r.toggle(51, 7*time.Millisecond) // the last is high
		time.Sleep(22 * time.Millisecond)
		r.saysNext(t, "")
		time.Sleep(time.Millisecond)
		r.saysNext(t, "active=true")

		r.chip.Drive("GPIO17", false) // a spike
		time.Sleep(29 * time.Millisecond)
		r.chip.Drive("GPIO17", true)
		time.Sleep(10 * time.Second)
		r.saysNext(t, "")

		// It never comes to rest: the state is the last that was sure, and in doubt.
		r.chip.Drive("GPIO17", false)
		r.toggle(20_000, 5*time.Millisecond)
		r.saysNext(t, "active=true uncertain")
		time.Sleep(time.Second)
		r.saysNext(t, "active=false")
		r.end(t)
	})
}

// TestChangesOfABusyGateway: edges that are taken late are told by their times.
func TestChangesOfABusyGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, plain("input"), nil, nil)
		r.toggle(5, 10*time.Second) // nobody looks
		r.toggle(50, time.Millisecond)
		r.start(t)
		time.Sleep(time.Second)
		if got, want := r.said(), "active=false, active=true, active=false, active=true, active=false, active=true, active=false"; got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
		r.end(t)
	})
}

// TestOverflow: more edges than the kernel keeps, while nobody looks.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plain("input")
		c.Debounce = debounce(0)
		r := wire(t, c, nil, nil)
		r.toggle(10_001, time.Microsecond) // the last is high
		r.start(t)
		said := r.said()
		if want := fmt.Sprintf("edges_lost=%d", 10_001-gpiochip.EventBuffer); !strings.Contains(said, want) || !strings.HasSuffix(said, "active=true") {
			t.Errorf("it says %.100q… %q, want %s", said, said[len(said)-40:], want)
		}
		r.end(t)
	})
}

// TestSlowSink: the watch goes on while nobody takes readings, and what cannot
// be kept is counted.
func TestSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plain("input")
		c.Debounce = debounce(0)
		r := wire(t, c, nil, nil)
		free := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { r.done <- r.Run(ctx, blocked{r.sink, free}) }()
		synctest.Wait()
		began := time.Now()
		for i := range 2*maxPending + 1 {
			r.chip.Drive("GPIO17", i%2 == 0)
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		close(free)
		synctest.Wait()
		changes, lost := 0, 0.0
		for _, batch := range r.sink.Batches() {
			for _, reading := range batch {
				switch n, _ := reading.Value.Number(); {
				case reading.Name == "edges_lost":
					lost += n
				case reading.Time.Equal(began):
					changes++
				}
			}
		}
		if changes != maxPending || lost != maxPending+1 {
			t.Errorf("%d changes with their times, %v lost", changes, lost)
		}
		cancel()
		<-r.done
	})
}

// blocked is a sink that takes nothing until it is free.
type blocked struct {
	*drivertest.Sink
	free chan struct{}
}

func (b blocked) Emit(ctx context.Context, readings ...gateway.Reading) error {
	<-b.free
	return b.Sink.Emit(ctx, readings...)
}

// TestMissedEdge: a level that no edge has told of is found.
func TestMissedEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, plain("contact"), nil, nil)
		r.start(t)
		r.saysNext(t, "open=false")
		r.chip.DriveUnnoticed("GPIO17", true)
		time.Sleep(lookEvery)
		r.saysNext(t, "") // it may be a spike
		time.Sleep(r.nature.debounce)
		r.saysNext(t, "open=true")
		r.end(t)
	})
}

func TestLostLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range []string{"contact", "counter"} {
			r := wire(t, plain(kind), nil, nil)
			r.start(t)
			r.chip.Unplug()
			if err := <-r.done; !errors.Is(err, gateway.ErrUnavailable) {
				t.Errorf("%s: Run ends with %v", kind, err)
			}
			if err := r.Run(t.Context(), r.sink); !errors.Is(err, gateway.ErrUnavailable) {
				t.Errorf("%s: Run again: %v", kind, err)
			}
			_ = r.Close()
			if err := r.Run(t.Context(), r.sink); !errors.Is(err, gateway.ErrUnavailable) {
				t.Errorf("%s: Run of a closed input: %v", kind, err)
			}
			r.chip.Plug()
			if err := r.Open(t.Context()); err != nil {
				t.Errorf("%s: Open: %v", kind, err)
			}
		}
	})
}

func TestRefusingSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wire(t, plain("input"), nil, nil)
		full := refusing{&drivertest.Sink{}}
		if err := r.Run(t.Context(), full); !errors.Is(err, gateway.ErrFull) {
			t.Errorf("Run: %v", err)
		}
	})
}

type refusing struct{ *drivertest.Sink }

func (refusing) Emit(context.Context, ...gateway.Reading) error { return gateway.ErrFull }

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		field  string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Kind, c.PerPulse, c.Unit, c.Start = counter, 0.01, "m3", 12.5 }, ""},
		{func(c *Config) { c.PerPulse, c.Unit = 0.01, "m3" }, "kind"},
		{func(c *Config) { c.Kind, c.PerPulse = counter, 0.01 }, "per_pulse"},
		{func(c *Config) { c.Kind, c.Unit = counter, "l" }, "per_pulse"},
		{func(c *Config) { c.Kind, c.Start = counter, 1 }, "start"},
		{func(c *Config) { c.Line = "17" }, "line"},
	} {
		config := plain("input")
		c.change(&config)
		_, err := New(config, nil)
		var fault *gateway.FieldError
		if (err == nil) != (c.field == "") || err != nil && (!errors.As(err, &fault) || fault.Field != c.field) {
			t.Errorf("%+v: %v", config, err)
		}
	}
	for _, unit := range []string{"l", "m3", "Wh", "kWh", "mm", "m"} {
		if s := speedOf(unit); s.reading == "" || math.Mod(s.seconds, 60) > 1 {
			t.Errorf("%s: %+v", unit, s)
		}
	}
}
