package uplink

import (
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Holder is a Store that can keep a lane back: Next passes it over until it is
// let go.
type Holder interface {
	Hold(lane gateway.Lane, held bool)
}

// reason is why telemetry has to wait.
type reason uint8

const (
	paced   reason = 1 << iota // the rate is used up for the moment
	crowded                    // enough is on its way without a PUBACK
	planned                    // the data plan is used up
)

// inFlightFor bounds the bytes in flight to so much time at the rate: what a
// slow line has taken in cannot be overtaken any more.
const inFlightFor = 4 * time.Second

// gate holds telemetry back in the store, where alerts, results and gap
// records pass it by. A nil gate is always open.
type gate struct {
	holder Holder
	lanes  []gateway.Lane
	meter  *Meter
	pacer  *pacer // nil without a rate
	limit  int    // of bytes in flight; 0 is none

	mu       sync.Mutex
	inFlight int
	why      reason
}

func newGate(h Holder, lanes []gateway.Lane, rate int64, m *Meter) *gate {
	g := &gate{holder: h, lanes: lanes, meter: m}
	if rate > 0 {
		g.pacer = newPacer(rate, m)
		g.limit = int(float64(rate) * inFlightFor.Seconds())
	}
	return g
}

// begin is for a new session, with nothing in flight.
func (g *gate) begin() {
	if g == nil {
		return
	}
	if g.pacer != nil {
		g.pacer.begin()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight = 0
	g.set(crowded, false)
}

// look decides whether telemetry may go now; if only the rate is in the way,
// it says when to look again.
func (g *gate) look() (again time.Duration) {
	if g == nil {
		return 0
	}
	if g.pacer != nil {
		again = g.pacer.pause()
	}
	held := g.meter.State() == PlanHeld
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set(paced, again > 0)
	g.set(planned, held)
	return again
}

// sent counts a message that is in flight now.
func (g *gate) sent(size int) {
	if g == nil {
		return
	}
	if g.pacer != nil {
		g.pacer.handed += uint64(size)
	}
	g.flying(size)
}

// landed counts messages that are not in flight any more.
func (g *gate) landed(size int) {
	if g != nil {
		g.flying(-size)
	}
}

func (g *gate) flying(size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight += size
	g.set(crowded, g.limit > 0 && g.inFlight >= g.limit)
}

// open lets all lanes go: nobody asks the gate any more.
func (g *gate) open() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set(paced|crowded|planned, false)
}

// set notes a reason and tells the store when the first has come or the last
// has gone. The caller holds mu.
func (g *gate) set(r reason, on bool) {
	before := g.why
	if on {
		g.why |= r
	} else {
		g.why &^= r
	}
	if (before != 0) == (g.why != 0) {
		return
	}
	for _, l := range g.lanes {
		g.holder.Hold(l, g.why != 0)
	}
}
