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

// Now is the current time in UTC, with its monotonic part.
func (s *System) Now() time.Time { return time.Now().UTC() }

// Trusted reports whether the time is plausible.
func (s *System) Trusted() bool { return !time.Now().Before(s.floor) }

// BootID identifies this run of the kernel; it is empty if the kernel does
// not tell.
func BootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
