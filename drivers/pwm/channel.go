package pwm

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/fieldpost/fieldpost/drivers/bus/attr"
	"github.com/fieldpost/fieldpost/gateway"
)

// channel is an exported channel of the kernel.
type channel struct {
	dir string
	set func(path, value string) error
	// What the kernel has, in ns.
	period, active int64
}

// chip finds the folder of the PWM chip.
func (d *Dev) chip() (string, error) {
	class := filepath.Join(d.root, "class/pwm")
	folders, err := os.ReadDir(class)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("list PWM chips: %w", err)
	}
	var there []string
	for _, f := range folders {
		device, _ := os.Readlink(filepath.Join(class, f.Name(), "device"))
		name := filepath.Base(device)
		if f.Name() == d.config.Chip || name == d.config.Chip {
			return filepath.Join(class, f.Name()), nil
		}
		there = append(there, fmt.Sprintf("%s (%s)", f.Name(), name))
	}
	if there == nil {
		return "", fmt.Errorf("there is no PWM chip; on a Raspberry Pi an overlay makes one: dtoverlay=pwm-2chan: %w", gateway.ErrUnavailable)
	}
	return "", fmt.Errorf("there is no PWM chip %s; want %s: %w", d.config.Chip, strings.Join(there, ", "), gateway.ErrUnavailable)
}

// export makes the channel usable.
func (d *Dev) export() (*channel, error) {
	chip, err := d.chip()
	if err != nil {
		return nil, err
	}
	channels, err := attr.Number(filepath.Join(chip, "npwm"))
	if err != nil {
		return nil, err
	}
	number := strconv.Itoa(d.config.Channel)
	if float64(d.config.Channel) >= channels {
		return nil, fmt.Errorf("there is no channel %s; the chip has %v, from 0 on: %w", number, channels, gateway.ErrInvalid)
	}
	c := &channel{dir: filepath.Join(chip, "pwm"+number), set: d.set}
	if attr.Exists(c.dir) {
		return c, nil
	}
	err = d.set(filepath.Join(chip, "export"), number)
	switch {
	case errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("the service may not write to /sys; it needs ReadWritePaths=/sys/devices in its unit: %w: %w", err, gateway.ErrUnavailable)
	case err != nil:
		return nil, fmt.Errorf("channel %s cannot be had; is it used by a driver of the kernel? %w: %w", number, err, gateway.ErrUnavailable)
	}
	return c, nil
}

// load reads what the kernel has.
func (c *channel) load() error {
	period, err := attr.Number(c.path("period"))
	if err != nil {
		return err
	}
	active, err := attr.Number(c.path("duty_cycle"))
	if err != nil {
		return err
	}
	c.period, c.active = int64(period), int64(active)
	return nil
}

// prepare sets which level is active, if it is not right already: the kernel
// lets only a channel that is switched off be turned round.
func (c *channel) prepare(inverted bool) error {
	want := "normal"
	if inverted {
		want = "inversed"
	}
	is, err := attr.Text(c.path("polarity"))
	switch {
	case errors.Is(err, gateway.ErrUnavailable) && !inverted:
		return nil // the chip knows only one way
	case err != nil || is == want:
		return err
	}
	if err := c.write("enable", 0); err != nil {
		return err
	}
	return c.set(c.path("polarity"), want)
}

// check says by its error that the output is lost, or that somebody else has
// switched it off.
func (c *channel) check() error {
	is, err := attr.Text(c.path("enable"))
	if err == nil && is != "1" {
		err = fmt.Errorf("somebody else has switched the output off: %w", gateway.ErrUnavailable)
	}
	return err
}

// apply sets frequency in Hz and duty in %. At no moment is the active time
// longer than the period, which the kernel would refuse.
func (c *channel) apply(frequency, duty float64) error {
	period := int64(math.Round(1e9 / frequency))
	active := int64(math.Round(float64(period) * duty / 100))
	if period >= c.active {
		if err := c.setPeriod(period); err != nil {
			return err
		}
		return c.setActive(active)
	}
	if err := c.setActive(active); err != nil {
		return err
	}
	return c.setPeriod(period)
}

func (c *channel) setPeriod(ns int64) error {
	if ns == c.period {
		return nil
	}
	if err := c.write("period", ns); err != nil {
		return fmt.Errorf("the chip cannot do %.6g Hz: %w", 1e9/float64(ns), err)
	}
	c.period = ns
	return nil
}

func (c *channel) setActive(ns int64) error {
	if err := c.write("duty_cycle", ns); err != nil {
		return err
	}
	c.active = ns
	return nil
}

func (c *channel) write(name string, value int64) error {
	return c.set(c.path(name), strconv.FormatInt(value, 10))
}

func (c *channel) path(name string) string { return filepath.Join(c.dir, name) }
