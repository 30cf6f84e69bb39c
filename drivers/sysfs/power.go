package sysfs

import (
	"path/filepath"

	"github.com/fieldpost/fieldpost/gateway"
)

// throttledFiles is where the firmware of a Raspberry Pi says whether its power
// and cooling suffice.
const throttledFiles = "sys/devices/platform/soc*/soc*firmware/get_throttled"

// Bits of get_throttled, from the documentation of vcgencmd: what is now; the
// same 16 bits higher is what has been since the start.
const (
	undervoltageBit = 1 << 0
	// slowBits: the frequency is capped, throttled, or limited by temperature.
	slowBits   = 1<<1 | 1<<2 | 1<<3
	sinceStart = 16
)

func (d *Dev) power() ([]gateway.Reading, error) {
	files, err := filepath.Glob(d.path(throttledFiles))
	if err != nil || len(files) == 0 {
		return d.voltage()
	}
	file, err := filepath.Rel(d.root, files[0])
	if err != nil {
		return nil, err
	}
	text, ok, err := d.text(file)
	if !ok {
		return nil, err
	}
	bits, err := parseThrottled(text)
	if err != nil {
		return nil, d.located(err, file)
	}
	return []gateway.Reading{
		state("undervoltage", bits&undervoltageBit != 0),
		state("undervoltage_since_start", bits&(undervoltageBit<<sinceStart) != 0),
		state("throttled", bits&slowBits != 0),
		state("throttled_since_start", bits&(slowBits<<sinceStart) != 0),
	}, nil
}

// voltage asks the kernel's driver of the firmware, where that alone is there:
// raspberrypi-hwmon keeps to whether the voltage was low when it last looked.
func (d *Dev) voltage() ([]gateway.Reading, error) {
	chips, err := d.kinds("sys/class/hwmon", "hwmon", "name")
	if err != nil {
		return nil, err
	}
	chip := best(chips, []string{"rpi_volt"})
	if chip == "" {
		return nil, nil
	}
	file := filepath.Join(chip, "in0_lcrit_alarm")
	text, ok, err := d.text(file)
	if !ok {
		return nil, err
	}
	n, err := parseCount(text)
	if err != nil {
		return nil, d.located(err, file)
	}
	return []gateway.Reading{state("undervoltage", n != 0)}, nil
}
