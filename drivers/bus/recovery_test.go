package bus_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// ill is a bus that can be made to hang.
type ill struct {
	set  *bus.Set
	sim  *i2csim.Bus
	gpio *drivertest.Chip
	sys  string

	mu     sync.Mutex
	told   []string
	opened int
	closed int
	// hangs says what a transaction ends in.
	hangs error
}

func (b *ill) report(_ string, problem error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := "fine"
	if problem != nil {
		text = problem.Error()
	}
	if len(b.told) == 0 || b.told[len(b.told)-1] != text {
		b.told = append(b.told, text)
	}
}

func (b *ill) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.told) == 0 {
		return ""
	}
	return b.told[len(b.told)-1]
}

func (b *ill) hang(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hangs = err
}

// counted is a bus that counts how often it is closed.
type counted struct {
	i2c.BusCloser
	b *ill
}

func (c counted) SetSpeed(physic.Frequency) error { return errors.New("sysfs-i2c: not supported") }

func (c counted) Close() error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.closed++
	return c.BusCloser.Close()
}

func newIll(t *testing.T, c *bus.I2CConfig) *ill {
	t.Helper()
	b := &ill{sys: t.TempDir(), gpio: drivertest.NewChip("gpiochip0", "pinctrl-bcm2711", "GPIO17", "GPIO23")}
	b.sim = i2csim.New(map[uint16]i2csim.Chip{0x76: i2csim.NewBME280()})
	b.sim.Fault(func(uint16, []byte, []byte) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.hangs
	})
	c.Device, c.Timeout = "/dev/i2c-1", 2*time.Second
	b.set = bus.New(bus.Options{
		Configs: map[string]any{"i2c-1": c}, Report: b.report,
		Hardware: bus.Hardware{Sys: b.sys, GPIO: drivertest.GPIO{b.gpio}, I2C: func(int) (i2c.BusCloser, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.opened++
			return counted{b.sim, b}, nil
		}},
	})
	return b
}

// adapter makes a tree as /sys has it for the adapter of a Raspberry Pi.
func (b *ill) adapter(t *testing.T, speed string) {
	t.Helper()
	device := filepath.Join(b.sys, "devices", "platform", "soc", "fe804000.i2c")
	driver := filepath.Join(b.sys, "bus", "platform", "drivers", "i2c-bcm2835")
	node := filepath.Join(b.sys, "firmware", "i2c@7e804000")
	for _, dir := range []string{filepath.Join(device, "i2c-1"), driver, node, filepath.Join(b.sys, "bus", "i2c", "devices")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{
		filepath.Join(driver, "unbind"): "", filepath.Join(driver, "bind"): "",
		filepath.Join(node, "clock-frequency"): speed,
		filepath.Join(node, "compatible"):      "brcm,bcm2711-i2c\x00brcm,bcm2835-i2c\x00",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		filepath.Join(b.sys, "bus", "i2c", "devices", "i2c-1"): filepath.Join(device, "i2c-1"),
		filepath.Join(device, "driver"):                        driver,
		filepath.Join(device, "i2c-1", "of_node"):              node,
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
}

// ask asks the chip for its id, some times.
func (b *ill) ask(t *testing.T, times int) (err error) {
	t.Helper()
	i2c1, err := b.set.I2C("i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		err = i2c1.Tx(0x76, []byte{0xd0}, make([]byte, 1))
		synctest.Wait() // until the bus is given back
	}
	return err
}

var errTimedOut = errors.New("sysfs-i2c: connection timed out")

func TestPowerIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIll(t, &bus.I2CConfig{Recover: []string{"power"}, Power: &bus.PowerConfig{
			LineConfig: bus.LineConfig{Line: "GPIO23"}, ActiveLow: true, Off: time.Second, Settle: 200 * time.Millisecond,
		}})
		if err := b.ask(t, 1); err != nil || b.gpio.Level("GPIO23") {
			t.Fatalf("%v, without power: %v", err, b.gpio.Level("GPIO23"))
		}
		b.hang(errTimedOut)
		if err := b.ask(t, 2); !errors.Is(err, gateway.ErrTimeout) || b.last() != "" {
			t.Errorf("after two: %v, told %q", err, b.last())
		}
		if err := b.ask(t, 1); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(b.last(), "the last 3 transactions have failed (nothing was tried yet)") {
			t.Errorf("after three: %v, told %q", err, b.last())
		}
		begun := time.Now()
		err := b.ask(t, 1)
		if !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "i2c-1 is being freed (power)") || time.Since(begun) != 0 {
			t.Errorf("meanwhile: %v after %v", err, time.Since(begun))
		}
		if !strings.Contains(b.last(), "(power is under way)") {
			t.Errorf("meanwhile: told %q", b.last())
		}
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if !b.gpio.Level("GPIO23") {
			t.Error("it is not cut for a second")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if b.gpio.Level("GPIO23") {
			t.Error("it is cut for more than a second")
		}
		if err := b.ask(t, 1); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("while the chips settle: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if !strings.Contains(b.last(), "(power was tried)") {
			t.Errorf("after it: told %q", b.last())
		}
		b.hang(nil)
		if err := b.ask(t, 1); err != nil || b.last() != "fine" {
			t.Errorf("it works again: %v, told %q", err, b.last())
		}
		if err := b.set.Close(); err != nil || !b.gpio.Free() {
			t.Errorf("Close: %v, the line is given back: %v", err, b.gpio.Free())
		}
	})
}

// TestAttemptsAreBounded: a bus that stays ill for a day is not shaken all day, and
// a stop does not wait for the power to be on again by itself.
func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIll(t, &bus.I2CConfig{Recover: []string{"power"}, Power: &bus.PowerConfig{
			LineConfig: bus.LineConfig{Line: "GPIO23"}, Off: 10 * time.Second,
		}})
		b.hang(errTimedOut)
		for range 24 * 360 {
			_ = b.ask(t, 1)
			time.Sleep(10 * time.Second)
		}
		cuts := 0
		for _, high := range b.gpio.History("GPIO23") {
			if !high {
				cuts++
			}
		}
		if cuts < 20 || cuts > 35 {
			t.Errorf("%d attempts in a day", cuts)
		}
		for b.gpio.Level("GPIO23") {
			_ = b.ask(t, 1)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		begun := time.Now()
		if err := b.set.Close(); err != nil || time.Since(begun) > 100*time.Millisecond || !b.gpio.Level("GPIO23") {
			t.Errorf("Close: %v after %v, power %v", err, time.Since(begun), b.gpio.Level("GPIO23"))
		}
	})
}

func TestRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIll(t, &bus.I2CConfig{Recover: []string{"rebind"}})
		b.adapter(t, "\x00\x01\x86\xa0")
		b.hang(errors.New("sysfs-i2c: resource temporarily unavailable")) // arbitration
		_ = b.ask(t, 4)
		synctest.Wait()
		driver := filepath.Join(b.sys, "bus", "platform", "drivers", "i2c-bcm2835")
		for _, file := range []string{"unbind", "bind"} {
			if text, err := os.ReadFile(filepath.Join(driver, file)); err != nil || string(text) != "fe804000.i2c" {
				t.Errorf("%s: %q, %v", file, text, err)
			}
		}
		if b.opened != 2 || b.closed != 1 || !strings.Contains(b.last(), "(rebind was tried)") {
			t.Errorf("opened %d times, closed %d, told %q", b.opened, b.closed, b.last())
		}
		b.hang(nil)
		if err := b.ask(t, 1); err != nil || b.last() != "fine" {
			t.Errorf("it works again: %v, told %q", err, b.last())
		}
		if err := b.set.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnpluggedAdapterThatSaysOtherwise: its driver says that the chip does not
// answer, for ever. The bus is closed, which the kernel waits for, and opened anew.
func TestUnpluggedAdapterThatSaysOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIll(t, &bus.I2CConfig{})
		b.adapter(t, "")
		link := filepath.Join(b.sys, "bus", "i2c", "devices", "i2c-1")
		b.hang(errors.New("sysfs-i2c: remote I/O error"))
		if err := b.ask(t, 2); !errors.Is(err, bus.ErrNoAnswer) || b.closed != 0 {
			t.Errorf("a chip that is not there: %v, closed %d times", err, b.closed)
		}
		if err := os.Rename(link, link+"-later"); err != nil {
			t.Fatal(err)
		}
		if err := b.ask(t, 2); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "was its adapter unplugged?") || b.closed == 0 {
			t.Errorf("%v, closed %d times", err, b.closed)
		}
		if err := os.Rename(link+"-later", link); err != nil {
			t.Fatal(err)
		}
		b.hang(nil)
		if err := b.ask(t, 1); err != nil {
			t.Errorf("plugged in again: %v", err)
		}
		if err := b.set.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRebindThatStopsHalfWay: what the driver did not take back is given to it
// at the next attempt, though the kernel knows of no such bus meanwhile.
func TestRebindThatStopsHalfWay(t *testing.T) {
	for _, stop := range []bool{false, true} { // or when the gateway stops before that
		synctest.Test(t, func(t *testing.T) { rebindHalfWay(t, stop) })
	}
}

func rebindHalfWay(t *testing.T, stop bool) {
	b := newIll(t, &bus.I2CConfig{Recover: []string{"rebind"}})
	b.adapter(t, "\x00\x01\x86\xa0")
	b.hang(errTimedOut)
	bind := filepath.Join(b.sys, "bus", "platform", "drivers", "i2c-bcm2835", "bind")
	if err := os.Rename(bind, bind+"-later"); err != nil {
		t.Fatal(err)
	}
	_ = b.ask(t, 4)
	if !strings.Contains(b.last(), "rebind could not be done") {
		t.Errorf("told %q", b.last())
	}
	if err := errors.Join(os.Rename(bind+"-later", bind), os.Remove(filepath.Join(b.sys, "bus", "i2c", "devices", "i2c-1"))); err != nil {
		t.Fatal(err)
	}
	if !stop {
		time.Sleep(time.Hour)
		_ = b.ask(t, 4)
	} else if err := b.set.Close(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(bind); err != nil || string(text) != "fe804000.i2c" {
		t.Errorf("bind: %q, %v", text, err)
	}
	if err := b.set.Close(); err != nil {
		t.Error(err)
	}
}

// TestRebindWithoutRights: it is told, and the bus stays open.
func TestRebindWithoutRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIll(t, &bus.I2CConfig{Recover: []string{"rebind"}})
		b.hang(errTimedOut)
		_ = b.ask(t, 4)
		synctest.Wait()
		if b.opened != 1 || b.closed != 0 || !strings.Contains(b.last(), "rebind could not be done: the driver of i2c-1 is not found") {
			t.Errorf("opened %d times, closed %d, told %q", b.opened, b.closed, b.last())
		}
		if err := b.set.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWithoutRecover: the bus is told all the same; a chip that is not there or
// fails by itself says nothing about the bus.
func TestWithoutRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIll(t, &bus.I2CConfig{})
		for _, err := range []error{i2csim.NoAck(), errors.New("sysfs-i2c: input/output error")} {
			b.hang(err)
			if _ = b.ask(t, 10); b.last() != "" {
				t.Errorf("%v: told %q", err, b.last())
			}
		}
		b.hang(errTimedOut)
		if _ = b.ask(t, 10); !strings.Contains(b.last(), "nothing is tried, since its key recover is not set") {
			t.Errorf("told %q", b.last())
		}
		if err := b.set.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSpeed(t *testing.T) { synctest.Test(t, testSpeed) }

func testSpeed(t *testing.T) {
	for _, c := range []struct {
		name, is string
		want     config.Frequency
		told     string
	}{
		{"right", "\x00\x06\x1a\x80", 400_000, ""},
		{"not asked for", "\x00\x06\x1a\x80", 0, ""},
		{"slower", "\x00\x01\x86\xa0", 400_000, "the speed of the bus is to be 400kHz, but it runs at 100kHz; write dtparam=i2c_arm_baudrate=400000 into /boot/firmware/config.txt and restart the board"},
		{"as the driver has it", "", 400_000, "it runs at 100kHz"},
	} {
		b := newIll(t, &bus.I2CConfig{Speed: c.want})
		b.adapter(t, c.is)
		if err := b.ask(t, 1); err != nil || !strings.Contains(b.last(), c.told) || c.told == "" && b.last() != "" {
			t.Errorf("%s: %v, told %q", c.name, err, b.last())
		}
		if err := b.set.Close(); err != nil {
			t.Error(err)
		}
	}
	b := newIll(t, &bus.I2CConfig{Speed: 400_000})
	if _ = b.ask(t, 1); !strings.Contains(b.last(), "nobody knows how fast it runs; the driver of this adapter sets it; with a device tree it is clock-frequency = <400000>") {
		t.Errorf("of another adapter: told %q", b.last())
	}
	_ = b.set.Close()
}

func TestRecoverKeys(t *testing.T) {
	power := &bus.PowerConfig{LineConfig: bus.LineConfig{Line: "GPIO23"}}
	for want, c := range map[string]*bus.I2CConfig{
		"":                              {Recover: []string{"rebind", "power"}, Power: power},
		"recover: power needs the sect": {Recover: []string{"power"}},
		"power: is for recover: [power": {Power: power},
	} {
		if err := c.Validate(); want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	set := bus.New(bus.Options{Configs: map[string]any{"i2c-1": &bus.I2CConfig{Device: "/dev/i2c-1", Power: power}}})
	if got := set.Taken(); len(got) != 1 || got[0] != (bus.Taken{Place: bus.Place{At: "GPIO23"}, By: "the power of bus i2c-1"}) {
		t.Errorf("taken: %v", got)
	}
}
