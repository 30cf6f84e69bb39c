package hx711

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// cell is a load cell with an HX711 that has RATE high: 80 conversions a second.
type cell struct {
	chip *drivertest.Chip

	mu   sync.Mutex
	load func(gain int) int32
	slow int // so many of the next high phases take too long
	// tireless chips do not fall asleep.
	tireless bool
	gain     int
	next     int // gain of the conversion that is under way
	value    uint32
	// bit is how many pulses there were since the end of the last conversion.
	bit  int
	rose time.Time
	end  *time.Timer // of the conversion
	// round counts conversions begun.
	round int
	// settled is from when on it converts rightly.
	settled time.Time
	resets  int
	off     bool
}

const rate = 12500 * time.Microsecond

func newCell(t *testing.T, load int32) *cell {
	c := &cell{
		chip: drivertest.NewChip("gpiochip0", "pinctrl-bcm2711", "DT", "SCK"),
		load: func(int) int32 { return load }, gain: 128, next: 128,
	}
	c.chip.Drive("DT", true)
	c.chip.OnDrive("SCK", c.clock)
	t.Cleanup(func() { // or it would convert for ever
		c.mu.Lock()
		defer c.mu.Unlock()
		c.off = true
	})
	return c
}

func (c *cell) clock(high bool) {
	if high && c.rise() {
		time.Sleep(maxHigh + time.Microsecond)
	}
	if !high {
		c.fall()
	}
}

func (c *cell) fall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tireless && c.end == nil {
		c.convert(rate)
	}
	if !c.tireless && !c.rose.IsZero() && time.Since(c.rose) > maxHigh {
		c.resets++
		c.gain, c.next, c.bit, c.settled = 128, 128, 0, time.Now().Add(4*rate)
		c.chip.Drive("DT", true)
		c.convert(rate)
	}
}

func (c *cell) rise() (slowly bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rose = time.Now()
	c.bit++
	switch {
	case c.bit <= bits:
		c.chip.Drive("DT", c.value>>(bits-c.bit)&1 == 1)
	default:
		c.next = map[int]int{1: 128, 2: 32, 3: 64}[c.bit-bits]
		c.chip.Drive("DT", true)
		c.convert(rate)
	}
	if c.slow == 0 {
		return false
	}
	c.slow--
	return true
}

// convert ends a conversion after so long, and then others, as long as nobody
// takes the bits.
func (c *cell) convert(after time.Duration) {
	if c.end != nil {
		c.end.Stop()
	}
	c.round++
	round := c.round
	c.end = time.AfterFunc(after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.off || round != c.round { // a timer cannot be stopped any more once it is due
			return
		}
		if c.bit > 0 && c.bit <= bits {
			c.convert(rate)
			return
		}
		if c.next != c.gain {
			c.gain, c.settled = c.next, time.Now().Add(3*rate)
		}
		load := c.load(c.gain)
		if time.Now().Before(c.settled) {
			load = 1_000_000
		}
		c.value, c.bit = uint32(load)&(1<<bits-1), 0
		c.chip.Drive("DT", false)
		c.convert(rate)
	})
}

func slowCell(t *testing.T) *cell {
	c := newCell(t, 1)
	c.slow = 1000
	return c
}

func (c *cell) set(load int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load = func(int) int32 { return load }
}

func plain() Config { return Config{Data: "DT", Clock: "SCK", Gain: 128, Samples: 1, Unit: "kg"} }

func wireUp(t *testing.T, c *cell, config Config) *Dev {
	t.Helper()
	d, err := New(config, bus.New(bus.Options{Hardware: bus.Hardware{GPIO: drivertest.GPIO{c.chip}}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func opened(t *testing.T, c *cell, config Config) *Dev {
	t.Helper()
	d := wireUp(t, c, config)
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// reads reads once and puts it into text.
func reads(t *testing.T, d *Dev) string {
	t.Helper()
	readings, err := d.Read(t.Context())
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, r := range readings {
		all = append(all, fmt.Sprintf("%s=%v%s", r.Name, r.Value, r.Unit))
	}
	return strings.Join(all, " ")
}

// TestContract runs in real time, on a machine that may be busy: neither side
// looks at how long the clock is high.
func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		c := newCell(t, 4711)
		c.tireless = true
		config := plain()
		config.Scale = 1000
		d := wireUp(t, c, config)
		d.now = func() time.Time { return time.Time{} }
		if err := d.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, 0)
		config := plain()
		config.Tare, config.Scale, config.Unit = -1000, 500, "g"
		d := opened(t, c, config)
		for load, want := range map[int32]string{
			0: "raw=0 weight=2g", 1: "raw=1 weight=2.002g", -1: "raw=-1 weight=1.998g", -1000: "raw=-1000 weight=0g",
			0x5a5a5a: "raw=5921370 weight=11844.74g", mostValue - 1: "raw=8388606 weight=16779.212g",
			leastValue + 1: "raw=-8388607 weight=-16775.214g",
		} {
			c.set(load)
			if got := reads(t, d); got != want {
				t.Errorf("%d: %s, want %s", load, got, want)
			}
		}
		time.Sleep(time.Minute)
		c.set(500) // while a conversion of before is waiting
		if got := reads(t, d); got != "raw=500 weight=3g" {
			t.Errorf("after a while it reads %s", got)
		}
		for _, load := range []int32{leastValue, mostValue} {
			c.set(load)
			if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "overloaded") {
				t.Errorf("%d: %v", load, err)
			}
		}
	})
}

func TestMedian(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, 0)
		samples := []int32{100, 100, 7_000_000, 102, -5, 101}
		c.load = func(int) int32 {
			next := samples[0]
			samples = append(samples[1:], next)
			return next
		}
		config := plain()
		config.Samples = 5
		d := opened(t, c, config)
		if got := reads(t, d); got != "raw=100" && got != "raw=101" {
			t.Errorf("it reads %s", got)
		}
	})
	if got := median([]int32{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of an even number is %v", got)
	}
}

// TestGain: the chip begins with 128; what it converts with another is read only
// when that has come into force.
func TestGain(t *testing.T) {
	for _, gain := range []int{128, 64, 32} {
		synctest.Test(t, func(t *testing.T) {
			c := newCell(t, 0)
			c.load = func(gain int) int32 { return int32(gain) }
			config := plain()
			config.Gain = gain
			d := opened(t, c, config)
			for range 3 {
				if got := reads(t, d); got != fmt.Sprintf("raw=%d", gain) {
					t.Errorf("with gain %d it reads %s", gain, got)
				}
			}
		})
	}
}

// TestSlowClock: a high phase that is too long costs the sample, not its truth.
func TestSlowClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, 0)
		c.load = func(gain int) int32 { return int32(gain) * 1000 }
		config := plain()
		config.Gain = 64
		d := opened(t, c, config)
		for slow := 1; slow <= restarts; slow++ {
			resets := c.resets
			c.slow = 1
			if got := reads(t, d); got != "raw=64000" || c.resets != resets+2 { // of itself, and by us
				t.Errorf("it reads %s after %d resets", got, c.resets-resets)
			}
		}
		c.slow = 1000
		if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "the board is too busy") {
			t.Errorf("a clock that is always slow: %v", err)
		}
		if err := wireUp(t, slowCell(t), config).Open(t.Context()); !errors.Is(err, gateway.ErrTimeout) {
			t.Errorf("Open with a clock that is always slow: %v", err)
		}
		c.slow = 0
		if got := reads(t, d); got != "raw=64000" {
			t.Errorf("afterwards it reads %s", got)
		}
	})
}

func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			stuck bool
			want  string
		}{"high": {true, "the data line stays high"}, "low": {false, "the data line stays low"}} {
			cell := newCell(t, 1)
			cell.chip.OnDrive("SCK", nil)
			cell.chip.Drive("DT", c.stuck)
			d := wireUp(t, cell, plain())
			err := d.Open(t.Context())
			if err == nil {
				_, err = d.Read(t.Context())
			}
			if !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("stuck %s: %v", name, err)
			}
			_ = d.Close()
			if !cell.chip.Free() {
				t.Errorf("stuck %s: lines are left taken", name)
			}
		}
	})
}

func TestLinesThatCannotBeHad(t *testing.T) {
	c := newCell(t, 1)
	c.chip.TakenBy("SCK", "w1")
	d := wireUp(t, c, plain())
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), `in use by "w1"`) || !c.chip.Free() {
		t.Errorf("Open: %v", err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Read: %v", err)
	}
}

func TestUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, 1)
		d := opened(t, c, plain())
		c.chip.Unplug()
		if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("Read: %v", err)
		}
		_ = d.Close()
		c.chip.Plug()
		if err := d.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := reads(t, d); got != "raw=1" {
			t.Errorf("when it is back it reads %s", got)
		}
	})
}

// TestCanceled: wherever a read is canceled, the next is right.
func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, 4711)
		config := plain()
		config.Gain, config.Samples = 64, 3
		d := wireUp(t, c, config)
		for after := time.Microsecond; after < 3*time.Second; after = after * 3 / 2 {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			if err := d.Open(ctx); err == nil {
				_, _ = d.Read(ctx)
			}
			cancel()
			if err := d.Open(t.Context()); err != nil {
				t.Fatalf("after %v: %v", after, err)
			}
			if got := reads(t, d); got != "raw=4711" {
				t.Errorf("canceled after %v, then it reads %s", after, got)
			}
			_ = d.Close()
		}
	})
}

func TestManyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, 42)
		d := opened(t, c, plain())
		before := runtime.NumGoroutine()
		for range 10_000 {
			if got := reads(t, d); got != "raw=42" {
				t.Fatal(got)
			}
		}
		if after := runtime.NumGoroutine(); after > before+2 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		field  string
	}{
		{func(c *Config) { c.Gain = 100 }, "gain"},
		{func(c *Config) { c.Clock = "DT" }, "clock"},
		{func(c *Config) { c.Data = "5" }, "data"},
		{func(c *Config) { c.Clock = "6" }, "clock"},
	} {
		config := plain()
		c.change(&config)
		var fault *gateway.FieldError
		if _, err := New(config, nil); !errors.As(err, &fault) || fault.Field != c.field {
			t.Errorf("%+v: %v", config, err)
		}
	}
	config := plain()
	config.Data, config.Clock, config.Chip = "5", "6", "gpiochip0"
	if _, err := New(config, nil); err != nil {
		t.Error(err)
	}
	if places := fmt.Sprint(config.Places()); places != "[gpiochip0 line 5 gpiochip0 line 6]" {
		t.Errorf("places %s", places)
	}
}

func TestEndures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drivertest.Endure(t, opened(t, newCell(t, 4711), plain()))
	})
}
