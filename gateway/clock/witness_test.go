package clock

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

var (
	build = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	truth = time.Date(2027, 3, 5, 12, 0, 0, 0, time.UTC) // when a test begins
)

// board is a board in the hands of a test: its uptime passes as the test says.
type board struct {
	*System
	up      time.Duration
	off     time.Duration // of the board's own clock from the truth
	netTime bool
	mute    error // of the kernel
}

func newBoard(off time.Duration) *board {
	b := &board{System: NewSystem(build), up: time.Minute, off: off}
	start := b.up
	b.uptime = func() time.Duration { return b.up }
	b.system = func() time.Time { return truth.Add(b.up - start + b.off) }
	b.synced = func() (bool, error) { return b.netTime, b.mute }
	return b
}

// now is the true time.
func (b *board) now() time.Time { return b.system().Add(-b.off) }

// listen lets a witness speak once a second for so long; off is by how much it
// is wrong, late how late each testimony comes.
func (b *board) listen(source string, lasts, off time.Duration, late ...time.Duration) {
	for i := range int(lasts / time.Second) {
		b.up += time.Second
		behind := time.Duration(0)
		if len(late) > 0 {
			behind = late[i%len(late)]
		}
		b.Hear(source, b.now().Add(off-behind))
	}
}

// want checks what the board takes for the time: the uptime, as long as nobody knows
// better, whatever its clock says.
func (b *board) want(t *testing.T, trusted bool, off time.Duration, doubt string) {
	t.Helper()
	if b.Trusted() != trusted {
		t.Errorf("trusted %v, want %v", b.Trusted(), trusted)
	}
	if !trusted {
		if got, undated := gateway.Uptime(b.Now()); !undated || got != b.up {
			t.Errorf("it is %v, want the uptime %v", b.Now(), b.up)
		}
	} else if got := b.Now().Sub(b.now()); (got - off).Abs() > time.Second {
		t.Errorf("it is off by %v, want %v", got, off)
	}
	if b.Doubt() != doubt && (doubt == "" || !strings.Contains(b.Doubt(), doubt)) {
		t.Errorf("doubt %q, want %q", b.Doubt(), doubt)
	}
}

const (
	years = 365 * 24 * time.Hour
	weeks = 1024 * 7 * 24 * time.Hour
)

func TestWitnessIsBelievedAfterMinutes(t *testing.T) {
	b := newBoard(-30 * years)
	b.want(t, false, 0, "")
	b.listen("gps", 2*time.Minute, 0, 100*time.Millisecond, 900*time.Millisecond)
	b.want(t, false, 0, "")
	b.listen("gps", 70*time.Second, 0, 100*time.Millisecond, 900*time.Millisecond)
	b.want(t, true, 0, "")
	b.up += 24 * time.Hour // it is gone
	b.want(t, true, 0, "")
}

func TestWitnessMustAgreeWithItself(t *testing.T) {
	b := newBoard(-30 * years)
	for i := range 20 {
		b.listen("gps", 2*time.Minute, time.Duration(i%2)*5*time.Second)
	}
	b.want(t, false, 0, "")
	for range 20 { // silence breaks it, too
		b.listen("gps", 2*time.Minute, 0)
		b.up += 2 * time.Minute
	}
	b.want(t, false, 0, "")
	for range 5 { // and few words do not count
		b.up += 50 * time.Second
		b.Hear("gps", b.now())
	}
	b.want(t, false, 0, "")
}

func TestTwoWitnessesAreBelievedAtOnce(t *testing.T) {
	b := newBoard(-30 * years)
	for range 15 {
		b.listen("gps", time.Second, 0)
		b.listen("other", time.Second, 500*time.Millisecond)
	}
	b.want(t, true, 0, "")
}

func TestWitnessesThatDisagreeAreNotBelieved(t *testing.T) {
	b := newBoard(-30 * years)
	for range 300 {
		b.listen("gps", time.Second, 0)
		b.Hear("other", b.now().Add(time.Hour))
	}
	b.want(t, false, 0, "another witness something else")
	b.listen("gps", 2*time.Minute, 0) // the other is silent now
	b.want(t, true, 0, "")
	b.listen("other", 4*time.Minute, time.Hour)
	b.want(t, true, 0, "which was believed before")
}

func TestBelievedWitnessIsNotShakenByAnother(t *testing.T) {
	b := newBoard(-30 * years)
	b.listen("gps", 4*time.Minute, 0)
	for range 300 {
		b.listen("gps", time.Second, 0)
		b.Hear("other", b.now().Add(20*time.Second))
	}
	b.want(t, true, 0, "other says it is 2027-03-05T12:")
}

func TestWeekRolloverIsNotBelieved(t *testing.T) {
	b := newBoard(-30 * years)
	b.listen("gps", 10*time.Minute, -weeks)
	b.want(t, false, 0, "before this program was built")
	b.listen("gps", 10*time.Minute, weeks)
	b.want(t, false, 0, "too late to be true")
	for range 300 { // it does not keep a better one from being believed
		b.listen("other", time.Second, 0)
		b.Hear("gps", b.now().Add(-weeks))
	}
	b.want(t, true, 0, "before this program was built")
}

func TestSynchronisedClockIsRight(t *testing.T) {
	b := newBoard(0)
	b.netTime = true
	b.listen("gps", 10*time.Minute, 3*time.Hour)
	b.want(t, true, 0, "gps is not believed")
	// NTP is lost: the clock goes on being better than this witness.
	b.netTime = false
	b.listen("gps", 24*time.Hour, 3*time.Hour)
	b.want(t, true, 0, "gps is not believed")
	b.listen("gps", 10*time.Minute, 0)
	b.want(t, true, 0, "")
}

func TestWitnessHandsOverToNTP(t *testing.T) {
	b := newBoard(-30 * years)
	b.listen("gps", 4*time.Minute, 0)
	b.want(t, true, 0, "")
	b.off, b.netTime = 5*time.Second, true // NTP has set the clock
	b.want(t, true, b.off, "")
	b.listen("gps", time.Minute, 0)
	b.want(t, true, b.off, "")
	b.netTime = false
	b.want(t, true, 0, "")
}

// TestWrongClockOfTheBoardIsCorrected: one with a battery, that is off by days.
func TestWrongClockOfTheBoardIsCorrected(t *testing.T) {
	b := newBoard(-3 * 24 * time.Hour)
	b.want(t, true, -3*24*time.Hour, "")
	b.listen("gps", 4*time.Minute, 0)
	b.want(t, true, 0, "")
}

func TestBelievedWitnessMayLeapASecondButNotAnHour(t *testing.T) {
	b := newBoard(-30 * years)
	b.listen("gps", 4*time.Minute, 18*time.Second) // the leap seconds are not known yet
	b.want(t, true, 18*time.Second, "")
	b.listen("gps", 2*time.Minute, 0)
	b.want(t, true, 18*time.Second, "")
	b.listen("gps", 2*time.Minute, 0)
	b.want(t, true, 0, "")
	b.listen("gps", 10*time.Minute, time.Hour)
	b.want(t, true, 0, "which was believed before")
	b.listen("gps", 4*time.Minute, 0)
	b.want(t, true, 0, "")
}

// TestDriftIsFollowed: the oscillator of the board runs slow or fast by 50 ppm.
func TestDriftIsFollowed(t *testing.T) {
	for _, ppm := range []time.Duration{50, -50} {
		b := newBoard(-30 * years)
		began := b.up
		drift := func() time.Duration { return (b.up - began) / 1e6 * ppm }
		for range 20 {
			b.listen("gps", time.Hour, drift())
		}
		b.want(t, true, drift(), "")
		b.up += 60 * 24 * time.Hour // unplugged for two months
		b.listen("gps", 4*time.Minute, drift())
		b.want(t, true, drift(), "")
	}
}

func TestAnotherWitnessTakesOver(t *testing.T) {
	b := newBoard(-30 * years)
	b.listen("gps", 4*time.Minute, 0)
	b.listen("other", 4*time.Minute, 5*time.Second)
	b.want(t, true, 5*time.Second, "")
}

// TestMuteKernel: if it cannot be asked, only a clock that cannot be right is
// corrected.
func TestMuteKernel(t *testing.T) {
	b := newBoard(-30 * years)
	b.mute = errors.New("operation not permitted")
	b.listen("gps", 4*time.Minute, 0)
	b.want(t, true, 0, "")
	b = newBoard(time.Hour)
	b.mute = errors.New("operation not permitted")
	b.listen("gps", 4*time.Minute, 0)
	b.want(t, true, time.Hour, "gps is not believed")
}

// TestKernelIsAsked: whatever it says here, it answers.
func TestKernelIsAsked(t *testing.T) {
	s := NewSystem(build)
	first := s.Uptime()
	if first <= 0 || s.Uptime() < first {
		t.Errorf("uptime %v, then %v", first, s.Uptime())
	}
	if _, err := s.synced(); err != nil {
		t.Errorf("whether the clock is synchronised: %v", err)
	}
}
