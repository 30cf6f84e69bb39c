package pipeline

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// State of a device; the package comment draws the changes.
type State string

// The states.
const (
	Starting State = "starting"
	Good     State = "good"
	Failing  State = "failing"
	Absent   State = "absent"
	Stuck    State = "stuck"
	Disabled State = "disabled"
)

// DeviceStats is how a device does, as seen by its Poller, Runner or Watcher. It
// is what status displays, the twin and the condition of the device all follow.
type DeviceStats struct {
	Device gateway.DeviceID `json:"device"`
	State  State            `json:"state"`
	// Reason of failing, absent and stuck.
	Reason string `json:"reason,omitempty"`
	// Since is when the state was entered.
	Since time.Time `json:"since"`
	// LastReading is when readings last came in; zero if none has.
	LastReading time.Time `json:"last_reading,omitzero"`
	// Reads counts the reads begun, or for a stream the readings' arrivals.
	Reads uint64 `json:"reads"`
	// Failures counts reads, or runs, that ended with an error or not in time.
	// What is asked of a device that is absent counts neither as read nor failure.
	Failures uint64 `json:"failures"`
	// Processing is what has become of the readings.
	Processing ProcessingStats `json:"processing"`
	// Alerts are those that have begun and not ended.
	Alerts []gateway.Alert `json:"alerts,omitempty"`
	// Latest is the last reading of each quantity, in the order of first arrival.
	Latest []gateway.Reading `json:"-"`
}

const (
	// maxLatest bounds how many quantities are remembered of one device.
	maxLatest = 64
	// reasonEvery bounds how often the condition of a device that keeps
	// failing is restated with another reason, and the stack of a panic logged.
	reasonEvery = time.Minute
	// absentEvery is how often an absent device is asked whether it is back. What
	// keeps the device decides when it is really looked for.
	absentEvery = time.Second
)

// device keeps the state of one device and the condition that follows from it.
type device struct {
	code, label string
	board       *health.Board

	mu     sync.Mutex
	stats  DeviceStats
	stated time.Time // when the condition was last raised
	stack  time.Time // when the stack of a panic was last logged
}

// newDevice has a label for people; empty for one made of the id.
func newDevice(id gateway.DeviceID, label string, board *health.Board) *device {
	return &device{
		code: "device:" + string(id), label: cmp.Or(label, "device "+string(id)), board: board,
		stats: DeviceStats{Device: id, State: Starting, Since: time.Now()},
	}
}

func (d *device) snapshot() DeviceStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Latest = slices.Clone(s.Latest)
	return s
}

// began counts a read.
func (d *device) began() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stats.State != Absent {
		d.stats.Reads++
	}
}

// delivered notes readings that have come in.
func (d *device) delivered(readings []gateway.Reading) {
	if len(readings) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.LastReading = time.Now()
	for _, r := range readings {
		same := func(old gateway.Reading) bool { return old.Name == r.Name && old.Device == r.Device }
		if i := slices.IndexFunc(d.stats.Latest, same); i >= 0 {
			d.stats.Latest[i] = r
		} else if len(d.stats.Latest) < maxLatest {
			d.stats.Latest = append(d.stats.Latest, r)
		}
	}
}

// good notes that the device does what it should.
func (d *device) good() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.enter(Good, "") {
		d.board.Clear(d.code)
	}
}

// disabled notes that the device is left alone by will.
func (d *device) disabled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enter(Disabled, "")
	d.board.Clear(d.code)
}

// enabled notes that the device is asked, perhaps again.
func (d *device) enabled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stats.State == Disabled {
		d.enter(Starting, "")
	}
}

// failed notes a read, or run, that ended with an error and nothing else.
func (d *device) failed(err error) {
	if errors.Is(err, gateway.ErrUnavailable) {
		d.trouble(Absent, err)
		return
	}
	d.failing(err)
}

// failing notes an error of a device that is there.
func (d *device) failing(err error) { d.trouble(Failing, err) }

// trouble notes a failure that leaves the device failing, absent or stuck.
func (d *device) trouble(state State, err error) {
	reason := reasonOf(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := d.enter(state, reason)
	if changed || state != Absent {
		d.stats.Failures++
	}
	if !changed && time.Since(d.stated) < reasonEvery {
		d.board.Restate(d.code, d.label+": "+reason) // what differs each time is not worth a line each time
		return
	}
	d.stated = time.Now()
	d.board.Raise(d.code, health.Warning, d.label+": "+reason)
}

// reasonOf is what an error says, in one line: errors that were joined are apart
// by semicolons. That it is unavailable is plain of what is absent.
func reasonOf(err error) string {
	parts := strings.Split(err.Error(), "\n")
	for i, part := range parts {
		parts[i] = strings.TrimSuffix(part, ": "+gateway.ErrUnavailable.Error())
	}
	return strings.Join(parts, "; ")
}

// is tells whether the device is in a state.
func (d *device) is(state State) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats.State == state
}

// panicked reports whether the stack of a panic is worth a line.
func (d *device) panicked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stack.IsZero() && time.Since(d.stack) < reasonEvery {
		return false
	}
	d.stack = time.Now()
	return true
}

func (d *device) enter(state State, reason string) (changed bool) {
	changed = d.stats.State != state
	if changed {
		d.stats.State, d.stats.Since = state, time.Now()
	}
	d.stats.Reason = reason
	return changed
}

// end takes the condition back: nobody watches the device any more.
func (d *device) end() { d.board.Clear(d.code) }
