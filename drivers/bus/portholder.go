package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// inUse says who has a port.
func inUse(path string) error {
	who := PortUsers(path)
	if len(who) == 0 {
		return fmt.Errorf("somebody else has this port open (sudo fuser -v %s tells who; ModemManager, a console and a terminal program are usual): %w", path, gateway.ErrUnavailable)
	}
	return fmt.Errorf("this port is in use by %s; stop that first: %w", strings.Join(who, ", "), gateway.ErrUnavailable)
}

// PortUsers names the processes that can be seen to have a port. It opens nothing;
// without the rights of root it does not see all.
func PortUsers(path string) []string {
	var stat unix.Stat_t
	if unix.Stat(path, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil
	}
	pids := append(lockers(&stat), users(&stat)...)
	slices.Sort(pids)
	var names []string
	for _, pid := range slices.Compact(pids) {
		names = append(names, processName(pid))
	}
	return names
}

// firstPtyMajor and lastPtyMajor are the device numbers of pseudo terminals.
const firstPtyMajor, lastPtyMajor = 136, 143

// users are the other processes that have a port as their terminal, which
// everybody may see, or as an open file, which only root sees of all. Who makes
// a pseudo terminal often keeps this side of it open too, and does no harm.
func users(stat *unix.Stat_t) (pids []int) {
	if major := unix.Major(stat.Rdev); major >= firstPtyMajor && major <= lastPtyMajor {
		return nil
	}
	processes, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range processes {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && pid != os.Getpid() && (terminalOf(dir) == stat.Rdev || opens(dir, stat.Rdev)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func processName(pid int) string {
	if pid == os.Getpid() {
		return "another device of this gateway"
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid)
}

// lockers reads /proc/locks, whose lines are
//
//	1: FLOCK  ADVISORY  WRITE 1234 00:06:987 0 EOF
//
// with the process and the device and inode of the file.
func lockers(stat *unix.Stat_t) (pids []int) {
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil
	}
	place := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != place {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// terminalOf is the device number of the terminal that controls a process, the
// 7th field of its stat; the 2nd is a name in brackets that can hold anything.
func terminalOf(dir string) uint64 {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 5 {
		return 0
	}
	number, err := strconv.ParseUint(fields[4], 10, 32)
	if err != nil {
		return 0
	}
	major, minor := uint32(number>>8&0xfff), uint32(number&0xff|number>>12&0xfff00)
	return unix.Mkdev(major, minor)
}

// opens tells whether a process has a device open.
func opens(dir string, device uint64) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "fd", "*")) // empty without permission
	for _, file := range files {
		if name, err := os.Readlink(file); err != nil || !strings.HasPrefix(name, "/dev/") {
			continue
		}
		var stat unix.Stat_t
		if unix.Stat(file, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFCHR && stat.Rdev == device {
			return true
		}
	}
	return false
}
