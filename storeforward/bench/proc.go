package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// procField reads a number of a file of "name: number" lines in /proc/self.
func procField(file, name string) (uint64, error) {
	f, err := os.Open(filepath.Join("/proc/self", file))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/%s has no field %s", file, name)
}

// residentMB is the memory of this process in MB (10⁶ bytes), mapped files
// included: field is VmRSS for now, VmHWM for the most there was.
func residentMB(field string) (float64, error) {
	kb, err := procField("status", field)
	return float64(kb) * 1024 / 1e6, err
}

// writtenBytes is what this process has dirtied for storage to write.
func writtenBytes() (uint64, error) { return procField("io", "write_bytes") }

// deviceBytes is what the block device below dir has written since the machine
// started, for everybody and everything. ok is false where there is none.
func deviceBytes(dir string) (n uint64, ok bool) {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return 0, false
	}
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text)) // Documentation/block/stat.rst of Linux
	if len(fields) < 7 {
		return 0, false
	}
	sectors, err := strconv.ParseUint(fields[6], 10, 64)
	return sectors * 512, err == nil
}

// syncFiles writes out all that the file system of dir holds in memory.
func syncFiles(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// allocatedMB is what the files below dir take of the disk, in MB; what
// fieldpost only reserves, for the day when the disk is full, is apart.
func allocatedMB(dir string) (used, reserved float64, err error) {
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if os.IsNotExist(err) {
			return nil // removed meanwhile
		}
		mb := float64(st.Blocks) * 512 / 1e6
		if filepath.Ext(path) == ".ballast" {
			reserved += mb
		} else {
			used += mb
		}
		return err
	})
	return used, reserved, err
}

// watch samples the memory of this process until stop, which waits for it and
// gives the median in MB. The first sample is taken at once, so that there is one
// however short the time and however busy the machine.
func watch() (stop func() float64) {
	var samples []float64
	sample := func() {
		if mb, err := residentMB("VmRSS"); err == nil {
			samples = append(samples, mb)
		}
	}
	sample()
	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !ended.Load() {
			time.Sleep(20 * time.Millisecond)
			sample()
		}
	}()
	return func() float64 {
		ended.Store(true)
		<-done
		return median(samples)
	}
}
