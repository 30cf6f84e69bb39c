package sysfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// What a processor that works can have, in Cel. Below and above are the values
// of sensors that are broken or were never set up.
const (
	coldest = -40
	hottest = 150
)

// processorZones are the types of thermal zones that are the processor's own,
// best first: of the Raspberry Pi and most ARM boards, of Rockchip and
// Allwinner boards, and of Intel processors.
var processorZones = []string{"cpu-thermal", "cpu_thermal", "soc-thermal", "soc_thermal", "x86_pkg_temp"}

// processorChips are the names of hwmon chips within Intel's and AMD's processors.
var processorChips = []string{"coretemp", "k10temp"}

// temperature reads the best sensor that there is, and always the same one.
func (d *Dev) temperature() ([]gateway.Reading, error) {
	file, err := d.thermometer()
	if file == "" || err != nil {
		return nil, err
	}
	text, ok, err := d.text(file)
	if !ok {
		return nil, err
	}
	celsius, err := parseMillidegrees(text)
	if err == nil {
		err = d.plausible(celsius)
	}
	if err != nil {
		return nil, d.located(err, file)
	}
	return []gateway.Reading{number("cpu_temperature", celsius, "Cel")}, nil
}

// plausible refuses what is no temperature of a processor. Exactly 0 once is
// possible on a cold day; twice in a row it is a sensor without power.
func (d *Dev) plausible(celsius float64) error {
	again := d.frozen && celsius == 0
	d.frozen = celsius == 0
	switch {
	case again:
		return fmt.Errorf("0 Cel and no change, as from a sensor without power: %w", gateway.ErrInvalid)
	case celsius < coldest || celsius > hottest:
		return fmt.Errorf("%v Cel cannot be; want %v to %v: %w", celsius, coldest, hottest, gateway.ErrInvalid)
	}
	return nil
}

// thermometer finds the file of the processor's temperature; none is no error.
func (d *Dev) thermometer() (string, error) {
	zones, err := d.kinds("sys/class/thermal", "thermal_zone", "type")
	if err != nil {
		return "", err
	}
	if zone := best(zones, processorZones); zone != "" {
		return filepath.Join(zone, "temp"), nil
	}
	chips, err := d.kinds("sys/class/hwmon", "hwmon", "name")
	if err != nil {
		return "", err
	}
	if chip := best(chips, processorChips); chip != "" {
		return filepath.Join(chip, "temp1_input"), nil
	}
	if len(zones) > 0 {
		return filepath.Join(zones[0].folder, "temp"), nil
	}
	return "", nil
}

// part is a folder of a class and what it says that it is.
type part struct{ folder, kind string }

// kinds lists the parts of a class in the order of their numbers.
func (d *Dev) kinds(class, prefix, file string) ([]part, error) {
	entries, err := os.ReadDir(d.path(class))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var all []part
	for _, e := range entries {
		if _, err := strconv.Atoi(strings.TrimPrefix(e.Name(), prefix)); err != nil {
			continue
		}
		folder := filepath.Join(class, e.Name())
		kind, ok, err := d.text(folder, file)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, part{folder, kind})
		}
	}
	slices.SortStableFunc(all, func(a, b part) int { // zone10 comes after zone9
		return len(a.folder) - len(b.folder)
	})
	return all, nil
}

// best is the folder of the first kind in the list that there is.
func best(parts []part, kinds []string) string {
	for _, kind := range kinds {
		for _, p := range parts {
			if p.kind == kind {
				return p.folder
			}
		}
	}
	return ""
}

func (d *Dev) load() ([]gateway.Reading, error) {
	const file = "proc/loadavg"
	text, ok, err := d.text(file)
	if !ok {
		return nil, err
	}
	load, err := parseLoad(text)
	if err != nil {
		return nil, d.located(err, file)
	}
	return []gateway.Reading{
		number("load_1m", load[0], ""), number("load_5m", load[1], ""), number("load_15m", load[2], ""),
	}, nil
}

// cpu says how busy the cores were since the last Read; the first has nothing
// to compare with.
func (d *Dev) cpu() ([]gateway.Reading, error) {
	const file = "proc/stat"
	text, ok, err := d.text(file)
	if !ok {
		return nil, err
	}
	now, err := parseCPU(text)
	if err != nil {
		return nil, d.located(err, file)
	}
	last := d.busy
	d.busy = now
	total := now.total - last.total
	if last.total == 0 || total <= 0 {
		return nil, nil
	}
	// iowait can fall (proc(5)), hence the bounds.
	busy := min(100, max(0, 100*(1-(now.idle-last.idle)/total)))
	return []gateway.Reading{number("cpu_busy", tenths(busy), "%")}, nil
}

func (d *Dev) uptime() ([]gateway.Reading, error) {
	const file = "proc/uptime"
	text, ok, err := d.text(file)
	if !ok {
		return nil, err
	}
	first, _, _ := strings.Cut(text, " ")
	seconds, err := parseDecimal(first)
	if err != nil {
		return nil, d.located(err, file)
	}
	return []gateway.Reading{number("uptime", seconds, "s")}, nil
}
