package sysfs

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// wear is how worn the disk of a mount is, device being its major:minor; what
// the disk does not tell is left out. SD cards tell nothing, eMMC does, and
// ext4 counts what was written to it in its whole life.
func (d *Dev) wear(mount, device string) ([]gateway.Reading, error) {
	partition, err := filepath.EvalSymlinks(d.path("sys/dev/block", device))
	if err != nil {
		return nil, nil // no block device, or none that the kernel shows here
	}
	if partition, err = filepath.Rel(d.root, partition); err != nil {
		return nil, err
	}
	var all []gateway.Reading
	var errs []error
	for _, part := range []func(string, string) ([]gateway.Reading, error){d.life, d.fileSystem} {
		readings, err := part(partition, suffix(mount))
		all, errs = append(all, readings...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// lifeStep is the step of eMMC's life time: JEDEC JESD84-B51, 7.4.65; 1 is up to
// 10 % used, 10 up to 100 %, 11 beyond, 0 unknown.
const lifeStep = 10

// life reads what an eMMC says of itself: the worse of the life times of its
// two kinds of cells. A partition's folder lies in that of its disk.
func (d *Dev) life(partition, name string) ([]gateway.Reading, error) {
	for _, disk := range []string{filepath.Dir(partition), partition} {
		file := filepath.Join(disk, "device/life_time")
		text, ok, err := d.text(file)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		used, err := parseLife(text)
		if err != nil {
			return nil, d.located(err, file)
		}
		if used == 0 {
			return nil, nil
		}
		return []gateway.Reading{number("disk_life_used."+name, used, "%")}, nil
	}
	return nil, nil
}

// parseLife reads life_time: "0x02 0x01", in steps of 10 %.
func parseLife(text string) (percent float64, err error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return 0, unclear(text, "hexadecimal steps of life")
	}
	for _, field := range fields {
		n, err := strconv.ParseUint(strings.TrimPrefix(field, "0x"), 16, 8)
		if err != nil || n > 11 {
			return 0, unclear(text, "hexadecimal steps of life from 0x00 to 0x0b")
		}
		percent = max(percent, float64(n)*lifeStep)
	}
	return percent, nil
}

// fileSystem reads what ext4 has counted (Documentation/ABI/testing/sysfs-fs-ext4).
func (d *Dev) fileSystem(partition, name string) ([]gateway.Reading, error) {
	dir := filepath.Join("sys/fs/ext4", filepath.Base(partition))
	var all []gateway.Reading
	var errs []error
	for _, c := range []struct {
		file, name, unit string
		scale            float64
	}{
		{"lifetime_write_kbytes", "disk_written_in_life.", "By", 1024},
		{"errors_count", "disk_errors.", "", 1},
	} {
		text, ok, err := d.text(dir, c.file)
		if !ok {
			errs = append(errs, err)
			continue
		}
		n, err := parseCount(text)
		if err != nil {
			errs = append(errs, d.located(err, dir, c.file))
			continue
		}
		all = append(all, number(c.name+name, n*c.scale, c.unit))
	}
	return all, errors.Join(errs...)
}
