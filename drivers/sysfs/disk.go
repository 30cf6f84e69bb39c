package sysfs

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/fieldpost/fieldpost/gateway"
)

// space is the room on a file system in bytes: all, what nobody uses, and what
// of that a program without privileges can have.
type space struct{ total, free, available float64 }

// statfs asks the kernel. It can hang on a network file system whose server is
// gone; the poller says so then.
func statfs(path string) (space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return space{}, err
	}
	block := float64(s.Frsize)
	if block <= 0 {
		block = float64(s.Bsize)
	}
	return space{block * float64(s.Blocks), block * float64(s.Bfree), block * float64(s.Bavail)}, nil
}

// disks watches the mounts of the config.
func (d *Dev) disks() ([]gateway.Reading, error) {
	const mountsFile, statsFile = "proc/self/mountinfo", "proc/diskstats"
	if len(d.config.Disks) == 0 {
		return nil, nil
	}
	text, ok, err := d.text(mountsFile)
	if !ok {
		return nil, err
	}
	mounts, err := parseMounts(text)
	if err != nil {
		return nil, d.located(err, mountsFile)
	}
	stats, _, err := d.text(statsFile)
	errs := []error{err}
	var all []gateway.Reading
	for _, mount := range d.config.Disks {
		device, mounted := mounts[filepath.Clean(mount)]
		if !mounted { // its folder belongs to another disk, whose values would be taken for its own
			errs = append(errs, fmt.Errorf("nothing is mounted on %s; mount it, or take it out of disks: %w", mount, gateway.ErrUnavailable))
			continue
		}
		room, err := d.room(mount)
		all, errs = append(all, room...), append(errs, err)
		traffic, err := traffic(stats, mount, device)
		if err != nil {
			err = d.located(err, statsFile)
		}
		all, errs = append(all, traffic...), append(errs, err)
		wear, err := d.wear(mount, device)
		all, errs = append(all, wear...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// room is how full a mount is. File systems without blocks, such as /proc,
// have none.
func (d *Dev) room(mount string) ([]gateway.Reading, error) {
	s, err := d.statfs(d.path(mount))
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", mount, err)
	}
	used := s.total - s.free
	if used+s.available <= 0 {
		return nil, nil
	}
	return []gateway.Reading{
		number("disk_free."+suffix(mount), s.available, "By"),
		number("disk_used."+suffix(mount), tenths(100*used/(used+s.available)), "%"),
	}, nil
}

// traffic is what was read from and written to the device of a mount; none for
// those that have no block device of their own.
func traffic(stats, mount, device string) ([]gateway.Reading, error) {
	read, written, found, err := parseDisk(stats, device)
	if !found || err != nil {
		return nil, err
	}
	return []gateway.Reading{
		number("disk_read."+suffix(mount), read, "By"),
		number("disk_written."+suffix(mount), written, "By"),
	}, nil
}
