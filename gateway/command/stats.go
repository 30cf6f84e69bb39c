package command

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Stats is what a Dispatcher has done since it was made, and what it does.
type Stats struct {
	// Final counts commands by final state.
	Final map[gateway.Status]uint64 `json:"final"`
	// FinalBy counts them by origin, too.
	FinalBy map[gateway.Origin]map[gateway.Status]uint64 `json:"final_by,omitempty"`
	// Waiting counts commands that are journalled and not begun.
	Waiting int `json:"waiting"`
	// Repeated counts commands that came again after their final state.
	Repeated uint64 `json:"repeated"`
	// Refused counts input that is no command.
	Refused uint64 `json:"refused"`
	// Devices has one entry for each actuator.
	Devices []DeviceStats `json:"devices"`
}

// DeviceStats is how one actuator does.
type DeviceStats struct {
	Device  gateway.DeviceID `json:"device"`
	Waiting int              `json:"waiting"`
	// Running is the command that is being carried out; nil if none is.
	Running *Running `json:"running,omitempty"`
	// StuckSince is the beginning of the command that the driver has not come
	// back from; zero if there is none.
	StuckSince time.Time `json:"stuck_since,omitzero"`
}

// Running is a command that is being carried out.
type Running struct {
	Command string    `json:"command"`
	Action  string    `json:"action"`
	Since   time.Time `json:"since"`
}

type counts struct {
	final             map[ending]uint64 // guarded by Dispatcher.mu
	repeated, refused atomic.Uint64
}

// ending is how commands that came in by one way have ended.
type ending struct {
	origin gateway.Origin
	status gateway.Status
}

// Stats is a snapshot for status displays.
func (d *Dispatcher) Stats() Stats {
	d.mu.Lock()
	final := maps.Clone(d.counts.final)
	d.mu.Unlock()
	s := Stats{Final: make(map[gateway.Status]uint64), FinalBy: make(map[gateway.Origin]map[gateway.Status]uint64)}
	for e, n := range final {
		if s.FinalBy[e.origin] == nil {
			s.FinalBy[e.origin] = make(map[gateway.Status]uint64)
		}
		s.FinalBy[e.origin][e.status] = n
		s.Final[e.status] += n
	}
	s.Repeated, s.Refused = d.counts.repeated.Load(), d.counts.refused.Load()
	fleet := d.fleet.Load()
	for _, w := range fleet.all() {
		device := w.snapshot()
		s.Waiting += device.Waiting
		if w != fleet.strays {
			s.Devices = append(s.Devices, device)
		}
	}
	return s
}

func (w *worker) snapshot() DeviceStats {
	w.mu.Lock()
	waiting := len(w.waiting)
	w.mu.Unlock()
	w.status.Lock()
	defer w.status.Unlock()
	s := w.now
	s.Waiting = waiting
	return s
}

func (w *worker) running(r *Running) {
	w.status.Lock()
	w.now.Running = r
	w.status.Unlock()
}

// since is when the running command was taken up.
func (w *worker) since() time.Time {
	w.status.Lock()
	defer w.status.Unlock()
	return w.now.Running.Since
}
