package hubsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of faults.
const (
	faultDropPuback  = "drop-puback"        // recorded, and no PUBACK
	faultKill        = "kill-before-puback" // recorded, and the connection is cut
	faultDropMessage = "drop-message"       // not recorded, and no PUBACK
	faultDelayPuback = "delay-puback"       // recorded, and the PUBACK is late
	faultQuota       = "quota-exceeded"     // not recorded, and the connection is cut; back ends get 403
	faultRefuse      = "refuse-connect"     // CONNACK with a refusal
	faultThrottle    = "throttle"           // cut right after the CONNACK
	faultTakeover    = "takeover"           // cut Milliseconds after the CONNACK, as if somebody else had the identity, too
	faultExpireLock  = "expire-lock"        // a command that is not acknowledged in Milliseconds comes again

	faultDropMethod       = "drop-method"        // the request does not reach the device
	faultDropMethodAnswer = "drop-method-answer" // the answer does not reach the caller

	faultThrottleTwin = "throttle-twin" // a device's twin request is answered with 429
	faultDropDesired  = "drop-desired"  // the device is not told of desired properties
)

var (
	// publishFaults strike when a message arrives.
	publishFaults = []string{faultDropPuback, faultKill, faultDropMessage, faultDelayPuback, faultQuota}
	// callFaults strike when devices and back ends talk at once.
	callFaults = []string{faultDropMethod, faultDropMethodAnswer, faultThrottleTwin, faultDropDesired}
	faultKinds = slices.Concat(publishFaults, []string{faultRefuse, faultThrottle, faultTakeover, faultExpireLock}, callFaults, httpFaults, storageFaults)
)

// timedFaults take ms, with this default.
var timedFaults = map[string]int{faultDelayPuback: 0, faultTakeover: 1000, faultExpireLock: 60_000}

// fault is a mishap that will happen Count times.
type fault struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
	// After is how many messages, or connections, are let through before.
	After int `json:"after,omitempty"`
	// Device limits it to one device; "" is any.
	Device string `json:"device,omitempty"`
	// Milliseconds is by how much delay-puback is late; the time of takeover, by
	// default 1 s; and of expire-lock, by default 1 min as on the real hub.
	Milliseconds int `json:"ms,omitempty"`
	// Code is the answer of refuse-connect: 3 for unavailable, which is the
	// default, or 5 for not authorized; of fail-upload, fail-notification and
	// fail-block it is an HTTP status, 400 to 599, by default 500.
	Code int `json:"code,omitempty"`
}

// complete fills in defaults and checks the rest.
func (f *fault) complete() error {
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Kind == faultRefuse && f.Code == 0 {
		f.Code = 3
	}
	if slices.Contains(httpFaults, f.Kind) && f.Code == 0 {
		f.Code = 500
	}
	if f.Milliseconds == 0 {
		f.Milliseconds = timedFaults[f.Kind]
	}
	switch {
	case !slices.Contains(faultKinds, f.Kind):
		return fmt.Errorf("unknown kind %.40q, want one of %s", f.Kind, strings.Join(faultKinds, ", "))
	case f.Count < 1 || f.Count > 1_000_000:
		return fmt.Errorf("count %d is not allowed, want 1 to 1000000", f.Count)
	case f.After < 0 || f.After > 1_000_000:
		return fmt.Errorf("after %d is not allowed, want 0 to 1000000", f.After)
	}
	return f.checkDetails()
}

// checkDetails checks what belongs to one kind only.
func (f *fault) checkDetails() error {
	if _, timed := timedFaults[f.Kind]; timed {
		if f.Milliseconds < 1 || f.Milliseconds > 600_000 {
			return fmt.Errorf("ms %d is not allowed, want 1 to 600000 with %s", f.Milliseconds, f.Kind)
		}
	} else if f.Milliseconds != 0 {
		return fmt.Errorf("ms is for %s alone", strings.Join(slices.Sorted(maps.Keys(timedFaults)), ", "))
	}
	switch {
	case f.Kind == faultRefuse:
		if f.Code != 3 && f.Code != 5 {
			return fmt.Errorf("code %d is not allowed, want 3 or 5", f.Code)
		}
	case slices.Contains(httpFaults, f.Kind):
		if f.Code < 400 || f.Code > 599 {
			return fmt.Errorf("code %d is not allowed, want an HTTP status from 400 to 599", f.Code)
		}
	case f.Code != 0:
		return fmt.Errorf("code is for %s, %s alone", faultRefuse, strings.Join(httpFaults, ", "))
	}
	return nil
}

func (f *fault) delay() time.Duration { return time.Duration(f.Milliseconds) * time.Millisecond }

// faults are those that are still to happen, in the order in which they were
// asked for. A restart forgets them.
type faults struct {
	any  atomic.Bool // there may be one: keeps the mutex out of the fast path
	mu   sync.Mutex
	list []fault
}

func (fs *faults) add(f fault) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = append(fs.list, f)
	fs.any.Store(true)
}

// take uses up one fault of these kinds for a device; one of kind "" is none.
func (fs *faults) take(device string, kinds ...string) fault {
	if !fs.any.Load() {
		return fault{}
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	i := slices.IndexFunc(fs.list, func(f fault) bool {
		return slices.Contains(kinds, f.Kind) && (f.Device == "" || f.Device == device)
	})
	if i < 0 {
		return fault{}
	}
	if fs.list[i].After > 0 {
		fs.list[i].After--
		return fault{}
	}
	f := fs.list[i]
	if fs.list[i].Count--; fs.list[i].Count == 0 {
		fs.list = slices.Delete(fs.list, i, i+1)
		fs.any.Store(len(fs.list) > 0)
	}
	return f
}

func (fs *faults) left() []fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return append([]fault{}, fs.list...)
}

func (fs *faults) clear() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = nil
	fs.any.Store(false)
}
