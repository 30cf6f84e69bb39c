package command

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Devices are what commands are for, and what is allowed there. Change replaces them
// while a Dispatcher runs.
type Devices struct {
	// Actuators are the devices that can be asked to do something.
	Actuators map[gateway.DeviceID]gateway.Actuator
	// Labels say for people which devices they are; left out: their ids.
	Labels map[gateway.DeviceID]string
	// Sensors are the other devices: commands for them are denied by name.
	Sensors []gateway.DeviceID
	// Children are the devices that belong to a child, with the lane that names
	// it.
	Children map[gateway.DeviceID]gateway.Lane
	// Policy is asked before each command begins; nil allows everything.
	Policy Policy
	// Timeout bounds the execution of actions that have no bound of their own;
	// default 10 s.
	Timeout time.Duration
	// MaxWaiting bounds how many commands may wait, in all; one device gets half of
	// it. Beyond that they are left with their senders. Default 10,000.
	MaxWaiting int
	// MaxWaitingBytes bounds what they take on disk; default 32 MB.
	MaxWaitingBytes int
	// ClockWait is how long after the start commands that expire wait for a clock
	// that can be trusted; later they are denied. Default 5 min.
	ClockWait time.Duration
}

// fleet is the devices with their workers. It does not change.
type fleet struct {
	Devices
	known   string // the devices, for people
	workers map[gateway.DeviceID]*worker
	// strays has the commands for devices that cannot carry out any.
	strays *worker
}

// newFleet keeps the workers of devices that were there before.
func (d *Dispatcher) newFleet(devices Devices, before *fleet) *fleet {
	devices.Policy = cmp.Or(devices.Policy, Policy(lenient{}))
	devices.Timeout = cmp.Or(devices.Timeout, 10*time.Second)
	devices.MaxWaiting = cmp.Or(devices.MaxWaiting, 10_000)
	devices.MaxWaitingBytes = cmp.Or(devices.MaxWaitingBytes, 32e6)
	devices.ClockWait = cmp.Or(devices.ClockWait, 5*time.Minute)
	f := &fleet{Devices: devices, workers: make(map[gateway.DeviceID]*worker), strays: newWorker(d, "", nil)}
	var names []string
	for _, id := range slices.Sorted(maps.Keys(devices.Actuators)) {
		names = append(names, string(id))
		if w := before.worker(id); w != nil && w.actuator == devices.Actuators[id] {
			f.workers[id] = w
		} else {
			f.workers[id] = newWorker(d, id, devices.Actuators[id])
		}
	}
	f.known = cmp.Or(strings.Join(names, ", "), "none")
	return f
}

// worker is that of a device; nil if it has none.
func (f *fleet) worker(id gateway.DeviceID) *worker {
	if f == nil {
		return nil
	}
	return f.workers[id]
}

// of is who has the commands for a device.
func (f *fleet) of(id gateway.DeviceID) *worker { return cmp.Or(f.workers[id], f.strays) }

// all lists the workers, in the order of their devices.
func (f *fleet) all() []*worker {
	list := []*worker{f.strays}
	for _, id := range slices.Sorted(maps.Keys(f.workers)) {
		list = append(list, f.workers[id])
	}
	return list
}

// without are the workers that other does not have.
func (f *fleet) without(other *fleet) []*worker {
	return slices.DeleteFunc(f.all(), func(w *worker) bool { return slices.Contains(other.all(), w) })
}
