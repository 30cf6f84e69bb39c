// Package clock gives wall-clock time and says whether it can be trusted.
//
// Boards without a real-time clock start at 1970 or at the time of the last
// shutdown. Whatever must not happen at a wrong time (signing a token, letting
// a command or a message expire) asks Trusted first.
package clock

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is what the rest of the program needs of time.
type Clock interface {
	Now() time.Time
	Trusted() bool
}

// System is the clock of the operating system.
type System struct {
	floor time.Time
}

// NewSystem returns the system clock. Times before floor, the date of the
// build, are certainly wrong and so not trusted.
func NewSystem(floor time.Time) *System { return &System{floor: floor} }

// Now is the current time in UTC. It has no monotonic part, so that a difference
// of two holds the steps that the clock was set by in between.
func (s *System) Now() time.Time { return time.Now().UTC() }

// Trusted reports whether the time is plausible.
func (s *System) Trusted() bool { return !time.Now().Before(s.floor) }

// Uptime is the time since the board was started, sleep included. It is exact
// whatever the wall clock does, and begins anew with each boot.
func (s *System) Uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// Boot is BootID.
func (s *System) Boot() string { return BootID() }

// BootID identifies this run of the kernel; it is empty if the kernel does
// not tell.
func BootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
