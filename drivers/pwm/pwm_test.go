package pwm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// kernel plays /sys/class/pwm: it refuses what the kernel refuses, and notes the
// rest.
type kernel struct {
	t    *testing.T
	root string
	// barred is how many more writes to a new channel are refused.
	barred int
	refuse error // what it says to export
	least  int64
	log    []string
}

func boot(t *testing.T) *kernel {
	k := &kernel{t: t, root: t.TempDir()}
	device := filepath.Join(k.root, "devices/fe20c000.pwm")
	chip := filepath.Join(device, "pwm/pwmchip0")
	for _, dir := range []string{chip, filepath.Join(k.root, "class/pwm")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{filepath.Join(chip, "device"): device, filepath.Join(k.root, "class/pwm/pwmchip0"): chip} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	k.put("npwm", "2")
	return k
}

func (k *kernel) path(name string) string { return filepath.Join(k.root, "class/pwm/pwmchip0", name) }

func (k *kernel) put(name, value string) {
	k.t.Helper()
	if err := os.WriteFile(k.path(name), []byte(value+"\n"), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kernel) get(name string) string {
	data, _ := os.ReadFile(k.path(name))
	return strings.TrimSpace(string(data))
}

func (k *kernel) number(name string) int64 {
	n, _ := strconv.ParseInt(k.get(name), 10, 64)
	return n
}

// export makes a channel as the kernel does.
func (k *kernel) export(number string) error {
	if k.refuse != nil {
		return k.refuse
	}
	if err := os.Mkdir(k.path("pwm"+number), 0o755); err != nil {
		return err
	}
	for name, value := range map[string]string{"period": "0", "duty_cycle": "0", "enable": "0", "polarity": "normal"} {
		k.put("pwm"+number+"/"+name, value)
	}
	return nil
}

// set is a write, by the rules of the kernel.
func (k *kernel) set(path, value string) error {
	name, _ := filepath.Rel(k.path(""), path)
	if name == "export" {
		return k.export(value)
	}
	if !strings.HasPrefix(name, "pwm1/") {
		k.t.Errorf("%s is written", name)
	}
	if k.barred > 0 {
		k.barred--
		return &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
	}
	n, _ := strconv.ParseInt(value, 10, 64)
	period, active := k.number("pwm1/period"), k.number("pwm1/duty_cycle")
	switch filepath.Base(name) {
	case "period":
		if n < max(active, k.least, 1) {
			return errors.Join(syscall.EINVAL, gateway.ErrInvalid)
		}
	case "duty_cycle":
		if period == 0 || n > period {
			return errors.Join(syscall.EINVAL, gateway.ErrInvalid)
		}
	case "enable":
		if period == 0 && n == 1 {
			return errors.Join(syscall.EINVAL, gateway.ErrInvalid)
		}
	case "polarity":
		if k.get("pwm1/enable") == "1" {
			return syscall.EBUSY
		}
	}
	k.put(name, value)
	k.log = append(k.log, strings.TrimPrefix(name, "pwm1/")+"="+value)
	return nil
}

// wrote says what was written since the last time.
func (k *kernel) wrote(t *testing.T, want ...string) {
	t.Helper()
	if got := strings.Join(k.log, " "); got != strings.Join(want, " ") {
		t.Errorf("it wrote %s, want %s", got, strings.Join(want, " "))
	}
	k.log = nil
}

func fan() Config {
	return Config{Chip: "pwmchip0", Channel: 1, Frequency: 25_000, MaxDuty: 100}
}

func (k *kernel) make(t *testing.T, c Config) *Dev {
	t.Helper()
	d, err := open(c, k.root, k.set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func (k *kernel) open(t *testing.T, c Config) *Dev {
	t.Helper()
	d := k.make(t, c)
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func set(t *testing.T, d *Dev, args map[string]any) error {
	t.Helper()
	_, err := d.Do(t.Context(), gateway.Command{ID: "1", Action: "set", Args: args})
	return err
}

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any { return boot(t).open(t, fan()) })
}

func TestWhatIsWritten(t *testing.T) {
	k := boot(t)
	c := fan()
	c.SafeDuty, c.MinFrequency, c.MaxFrequency = 20, 10, 100_000
	d := k.open(t, c)
	k.wrote(t, "period=40000", "duty_cycle=8000", "enable=1")
	if err := set(t, d, map[string]any{"duty": 75.0}); err != nil {
		t.Error(err)
	}
	k.wrote(t, "duty_cycle=30000")
	if err := set(t, d, map[string]any{"duty": 75.0, "frequency": 100_000.0}); err != nil { // a period below the active time
		t.Error(err)
	}
	k.wrote(t, "duty_cycle=7500", "period=10000")
	if err := set(t, d, map[string]any{"duty": 100.0, "frequency": 10.0}); err != nil {
		t.Error(err)
	}
	k.wrote(t, "period=100000000", "duty_cycle=100000000")
	readings, err := d.Read(t.Context())
	if err != nil || fmt.Sprint(readings[0].Value, readings[1].Value) != "100 10" {
		t.Errorf("it reads %v, %v", readings, err)
	}
	if values, err := d.Do(t.Context(), gateway.Command{Action: "off"}); err != nil || values["duty"] != 0.0 || values["frequency"] != 10.0 {
		t.Errorf("off: %v, %v", values, err)
	}
	k.wrote(t, "duty_cycle=0")
	if err := d.Safe(t.Context()); err != nil {
		t.Error(err)
	}
	k.wrote(t, "period=40000", "duty_cycle=8000")
	_ = set(t, d, map[string]any{"duty": 90.0})
	if err := d.Close(); err != nil || k.get("pwm1/duty_cycle") != "8000" || k.get("pwm1/enable") != "1" {
		t.Errorf("Close: %v, duty %s, enable %s", err, k.get("pwm1/duty_cycle"), k.get("pwm1/enable"))
	}
}

func TestRanges(t *testing.T) {
	k := boot(t)
	c := fan()
	c.MinDuty, c.MaxDuty, c.MinFrequency = 20, 80, 20_000
	d := k.open(t, c)
	k.log = nil
	for _, args := range []map[string]any{
		{"duty": 19.0}, {"duty": 81.0}, {"duty": 50.0, "frequency": 19_999.0}, {"duty": 50.0, "frequency": 25_001.0}, {}, {"frequency": 25_000.0},
	} {
		if err := set(t, d, args); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("%v: %v", args, err)
		}
	}
	k.wrote(t)
	for _, c := range []struct {
		change func(*Config)
		field  string
	}{
		{func(c *Config) { c.MinFrequency = 30_000 }, "frequency"},
		{func(c *Config) { c.MaxFrequency = 20_000 }, "frequency"},
		{func(c *Config) { c.MinDuty, c.MaxDuty = 50, 40 }, "min_duty"},
	} {
		config := fan()
		c.change(&config)
		var fault *gateway.FieldError
		if _, err := New(config); !errors.As(err, &fault) || fault.Field != c.field {
			t.Errorf("%+v: %v", config, err)
		}
	}
}

// TestOpenedAgain: what is active stays active on the way to the safe duty.
func TestOpenedAgain(t *testing.T) {
	k := boot(t)
	c := fan()
	c.SafeDuty = 50
	_ = k.open(t, c)
	k.log = nil
	again := k.open(t, c)
	k.wrote(t, "duty_cycle=20000", "enable=1")
	c.Inverted = true
	_ = again.Close()
	k.log = nil
	_ = k.open(t, c) // the kernel lets no channel be turned round that is on
	k.wrote(t, "enable=0", "polarity=inversed", "duty_cycle=20000", "enable=1")
}

func TestUdevNeedsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := boot(t)
		k.barred = 7
		began := time.Now()
		d := k.open(t, fan())
		if waited := time.Since(began); waited != 7*grantRetry {
			t.Errorf("it is open after %v", waited)
		}
		_ = d.Close()
		k.barred = 1000
		if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "rule of udev") {
			t.Errorf("Open: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open for a second: %v", err)
		}
		if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("Read: %v", err)
		}
	})
}

func TestFoundByItsDevice(t *testing.T) {
	k := boot(t)
	for chip, want := range map[string]string{
		"pwmchip0": "", "fe20c000.pwm": "", "pwmchip1": "there is no PWM chip pwmchip1; want pwmchip0 (fe20c000.pwm)",
	} {
		c := fan()
		c.Chip = chip
		if _, err := c.look(k.root); (err == nil) != (want == "") {
			t.Errorf("looked for %s: %v", chip, err)
		}
		err := k.make(t, c).Open(t.Context())
		if want == "" && err != nil || want != "" && (!errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", chip, err)
		}
	}
	c := fan()
	c.Channel = 2
	if err := k.make(t, c).Open(t.Context()); !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "no channel 2; the chip has 2") {
		t.Errorf("channel 2 of 2: %v", err)
	}
	none := &kernel{t: t, root: t.TempDir()}
	if err := none.make(t, fan()).Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "dtoverlay=pwm-2chan") {
		t.Errorf("without a chip: %v", err)
	}
}

func TestTroubles(t *testing.T) {
	k := boot(t)
	k.refuse = syscall.EBUSY
	d := k.make(t, fan())
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a channel that is taken: %v", err)
	}
	k.refuse = syscall.EROFS
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "ReadWritePaths") {
		t.Errorf("a service that may not write there: %v", err)
	}
	k.refuse, k.least = nil, 100_000
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "the chip cannot do 25000 Hz") {
		t.Errorf("a chip that is too slow: %v", err)
	}
	k.least = 0
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.put("pwm1/enable", "0")
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("switched off by another: %v", err)
	}
	if err := os.RemoveAll(k.path("pwm1")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("gone: %v", err)
	}
	_ = d.Close()
	for what, err := range map[string]error{"Safe": d.Safe(t.Context()), "set": set(t, d, map[string]any{"duty": 1.0})} {
		if !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("%s of a closed output: %v", what, err)
		}
	}
}

func TestEndures(t *testing.T) {
	drivertest.Endure(t, boot(t).open(t, fan()))
}
