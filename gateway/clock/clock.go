// Package clock gives wall-clock time and says whether it can be trusted.
//
// Boards without a real-time clock start at 1970 or at the time of the last
// shutdown. Whatever must not happen at a wrong time (signing a token, letting
// a command or a message expire) asks Trusted first.
//
// A board without network can have a witness of the time instead, such as a
// receiver of satellite navigation. It is doubted first: see System.Hear.
package clock

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// Clock is what the rest of the program needs of time.
type Clock interface {
	// Now may be undated (gateway.Undated) while it cannot be trusted.
	Now() time.Time
	Trusted() bool
}

// System is the clock of the operating system, corrected by witnesses if it is
// not synchronised over the network. It is safe for concurrent use.
type System struct {
	floor time.Time
	// What the board says; but for tests system, synced and sinceBoot.
	system func() time.Time
	synced func() (bool, error)
	uptime func() time.Duration

	mu        sync.Mutex
	witnesses map[string]*witness
	doubt     string
	wasSynced bool // since the start of this program, last at the uptime syncedAt
	syncedAt  time.Duration

	belief atomic.Pointer[belief] // nil: nobody is believed
}

// NewSystem returns the system clock. Times before floor, the date of the
// build, are certainly wrong and so not trusted.
func NewSystem(floor time.Time) *System {
	return &System{
		floor: floor, witnesses: make(map[string]*witness),
		system: func() time.Time { return time.Now().UTC() }, synced: synced, uptime: sinceBoot,
	}
}

// Now is the current time in UTC; while it cannot be trusted, it is undated. It has no
// monotonic part, so that a difference of two holds the steps that the clock was set by
// in between.
func (s *System) Now() time.Time {
	if b := s.corrects(); b != nil {
		return b.boot.Add(s.uptime()).UTC()
	}
	if now := s.system(); !now.Before(s.floor) {
		return now
	}
	return gateway.Undated(s.uptime())
}

// Trusted reports whether the time is plausible.
func (s *System) Trusted() bool { return s.corrects() != nil || !s.system().Before(s.floor) }

// corrects is the witness that stands in for the clock of the board; nil if that
// needs none.
func (s *System) corrects() *belief {
	b := s.belief.Load()
	if b == nil || s.kept() {
		return nil
	}
	return b
}

// Uptime is the time since the board was started, sleep included. It is exact
// whatever the wall clock does, and begins anew with each boot.
func (s *System) Uptime() time.Duration { return s.uptime() }

func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// kept tells whether somebody (NTP, PTP) keeps the clock of the board right. If
// the kernel may not be asked, a clock that is plausible counts as kept.
func (s *System) kept() bool {
	kept, err := s.synced()
	if err != nil {
		return !s.system().Before(s.floor)
	}
	return kept
}

// synced asks the kernel, which forgets it some hours after the last word of
// whoever keeps it.
func synced() (bool, error) {
	state, err := unix.Adjtimex(&unix.Timex{}) // with no modes it changes nothing
	return state != unix.TIME_ERROR, err
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
