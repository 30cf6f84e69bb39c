package probe

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/attr"
)

// OneWire is a sensor on a 1-Wire bus that the kernel has found.
type OneWire struct {
	// Code is its own, as a folder of /sys/bus/w1/devices.
	Code string `json:"code"`
	// Chip is what its family is; empty if that is none of the usual.
	Chip   string `json:"chip,omitempty"`
	Driver string `json:"driver,omitempty"`
}

// families are the first byte of a code, with the driver for it.
var families = map[string]struct{ chip, driver string }{
	"10": {"DS18S20", "ds18b20"},
	"22": {"DS1822", "ds18b20"},
	"28": {"DS18B20", "ds18b20"},
	"3b": {"DS1825 or MAX31850", "ds18b20"},
	"42": {"DS28EA00", "ds18b20"},
	"12": {"DS2406 (switch)", ""},
	"26": {"DS2438 (battery monitor)", ""},
	"29": {"DS2408 (eight lines)", ""},
	"3a": {"DS2413 (two lines)", ""},
}

func (p *prober) findOneWire() {
	p.report.OneWire = []OneWire{}
	entries, err := os.ReadDir(p.path("sys/bus/w1/devices"))
	if err != nil {
		p.advise("There is no 1-Wire bus. On a Raspberry Pi: dtoverlay=w1-gpio in /boot/firmware/config.txt, then restart; the data line is GPIO4.")
		return
	}
	for _, e := range entries {
		family, rest, ok := strings.Cut(e.Name(), "-")
		if !ok || len(family) != 2 || len(rest) != 12 {
			continue // a master
		}
		f := families[family]
		p.report.OneWire = append(p.report.OneWire, OneWire{Code: e.Name(), Chip: f.chip, Driver: f.driver})
	}
	if len(p.report.OneWire) == 0 {
		p.advise("There is a 1-Wire bus, and nobody on it has answered: check data line, pull-up (4.7 kΩ) and power.")
	}
}

// KernelChip is a chip that a driver of the kernel serves, so that fieldpost can
// read it without one of its own.
type KernelChip struct {
	// Driver of fieldpost that reads it: hwmon or iio.
	Driver string `json:"driver"`
	// Chip and Device are the keys of that driver.
	Chip   string `json:"chip"`
	Device string `json:"device,omitempty"`
	// Bus is the kind of bus that it is on, such as "i2c"; empty for what is part
	// of the board.
	Bus string `json:"bus,omitempty"`
}

func (p *prober) findKernelChips() {
	p.report.Kernel = []KernelChip{}
	for _, class := range []struct{ driver, pattern string }{
		{"hwmon", "sys/class/hwmon/hwmon*"},
		{"iio", "sys/bus/iio/devices/iio:device*"},
	} {
		dirs, _ := filepath.Glob(p.path(class.pattern)) // the pattern is right
		slices.SortFunc(dirs, byNumber)
		for _, dir := range dirs {
			name, err := attr.Text(filepath.Join(dir, "name"))
			if err != nil || name == "w1_slave_temp" { // that is found as 1-Wire
				continue
			}
			at := parent(class.driver, dir)
			chip := KernelChip{Driver: class.driver, Chip: name}
			if kind := linked(filepath.Join(at, "subsystem")); slices.Contains([]string{"i2c", "spi", "usb", "hid"}, kind) {
				chip.Bus, chip.Device = kind, filepath.Base(at)
			}
			p.report.Kernel = append(p.report.Kernel, chip)
		}
	}
}

// parent is the folder of the device that a chip of a class belongs to; empty if
// it belongs to none.
func parent(driver, dir string) string {
	if driver == "hwmon" {
		dir = filepath.Join(dir, "device")
	}
	target, err := filepath.EvalSymlinks(dir)
	switch {
	case err != nil:
		return ""
	case driver == "hwmon":
		return target
	default:
		return filepath.Dir(target)
	}
}

// linked is the last part of where a link leads; empty if there is none.
func linked(path string) string {
	target, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// SPIDevice is a chip select of an SPI controller.
type SPIDevice struct {
	// Name, such as "spi0.1".
	Name string `json:"name"`
	// Device is its device file, if it is free for programs.
	Device string `json:"device,omitempty"`
	// UsedBy says who has it.
	UsedBy string `json:"used_by,omitempty"`
}

func (p *prober) findSPI() {
	p.report.SPI = []SPIDevice{}
	dirs, _ := filepath.Glob(p.path("sys/bus/spi/devices/spi*")) // the pattern is right
	slices.SortFunc(dirs, byNumber)
	for _, dir := range dirs {
		name := filepath.Base(dir)
		d := SPIDevice{Name: name}
		switch driver := linked(filepath.Join(dir, "driver")); driver {
		case "spidev":
			d.Device = "/dev/spidev" + strings.TrimPrefix(name, "spi")
			d.UsedBy = p.claimed(d.Device, bus.Whole)
		case "":
			d.UsedBy = "the kernel, without a driver"
		default:
			d.UsedBy = "the kernel, by its driver " + driver
		}
		p.report.SPI = append(p.report.SPI, d)
	}
}

// GPIOChip is a chip with GPIO lines.
type GPIOChip struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Lines int    `json:"lines"`
	// Named are the names of lines that are free, Used those that somebody has.
	Named []string   `json:"named,omitempty"`
	Used  []UsedLine `json:"used,omitempty"`
}

// UsedLine is a line that somebody has.
type UsedLine struct {
	Line string `json:"line"`
	By   string `json:"by"`
}

func (p *prober) findGPIO() {
	p.report.GPIO = []GPIOChip{}
	chips, err := p.Hardware.GPIO.Chips()
	if err != nil {
		p.advise(fmt.Sprintf("Not all GPIO chips can be read: %v.", err))
	}
	for _, c := range chips {
		chip := GPIOChip{Name: c.Name, Label: c.Label, Lines: len(c.Lines)}
		for offset, line := range c.Lines {
			switch {
			case line.Used:
				name := cmp.Or(line.Name, fmt.Sprintf("line %d", offset))
				chip.Used = append(chip.Used, UsedLine{Line: name, By: cmp.Or(line.Consumer, "the kernel")})
			case line.Name != "" && line.Name != "-":
				chip.Named = append(chip.Named, line.Name)
			}
		}
		p.report.GPIO = append(p.report.GPIO, chip)
	}
}
