package uplink

import (
	"context"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// The bounds of what one session may have brought and not confirmed yet. A hub keeps
// 50 messages of 64 KiB for a device; brokers send 20 to 100 without a confirmation,
// unless they are told to send all that they have.
const (
	maxArrivals     = 1024
	maxArrivalBytes = 4 << 20
	// fewArrivals are so few that there is room for many more.
	fewArrivals = maxArrivals / 4
	// maxHeld bounds how long the line is not read because there is no room: what
	// confirms our own messages is on it, too.
	maxHeld = 10 * time.Second
)

// Arrival is one message of a session, as a command or with the reason why it is
// none.
type Arrival struct {
	// Command needs an ID and an Origin even beside a Fault.
	Command gateway.Command
	Fault   error
	// Raw is the message itself.
	Raw []byte
	// Ack confirms the message to its sender.
	Ack func()
}

// Arrivals are the messages of one session that are not confirmed yet. Each
// device has a line of its own, so that one whose commands wait holds up none of
// the others: theirs are journalled and carried out. MQTT wants confirmations in
// the order of arrival, though; those that are due behind a message that waits
// are withheld until it is taken.
//
// Beyond the bounds the line is held for a while, and then messages are dropped, the
// later ones all, so that the order stays. What is not confirmed comes again on another
// connection, and Renew says when that is worth while.
type Arrivals struct {
	intake Intake
	ctx    context.Context
	lines  sync.WaitGroup

	confirming sync.Mutex // is held while messages are confirmed

	mu sync.Mutex // guards the rest
	// order has all messages that are not confirmed, oldest first.
	order []*arrival
	// waiting has, by device, those that are not taken; the first is being taken.
	waiting map[gateway.DeviceID][]*arrival
	bytes   int
	room    chan struct{} // closed, and made anew, when some have been confirmed
	full    time.Time     // since when there has been no room to speak of; zero if there is
	dropped bool
	over    bool // no line is begun any more
	renew   chan struct{}
	renewed bool // renew is closed
}

type arrival struct {
	Arrival
	taken bool
}

// Begin begins the intake of one session. It ends with ctx; wait for it then.
func (i Intake) Begin(ctx context.Context) *Arrivals {
	return &Arrivals{intake: i, ctx: ctx, waiting: make(map[gateway.DeviceID][]*arrival), room: make(chan struct{}), renew: make(chan struct{})}
}

// Take takes a message over, to be journalled and then confirmed. It waits while there
// is no room, but not for long.
func (a *Arrivals) Take(m Arrival) { a.take(&arrival{Arrival: m}) }

// Pass takes a message over that is only to be confirmed when its turn comes.
func (a *Arrivals) Pass(ack func()) {
	a.take(&arrival{Arrival: Arrival{Ack: ack}, taken: true})
	a.confirm()
}

func (a *Arrivals) take(m *arrival) {
	for {
		room, held := a.add(m)
		if room == nil {
			return
		}
		timer := time.NewTimer(held)
		select {
		case <-room:
		case <-timer.C:
		case <-a.ctx.Done():
		}
		timer.Stop()
	}
}

// Renew is closed when messages have been dropped and there is room for them by now.
func (a *Arrivals) Renew() <-chan struct{} { return a.renew }

// Wait waits for the end of all that was begun; ctx has ended.
func (a *Arrivals) Wait() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.lines.Wait()
}

// add gives a message its place, or drops it. If it is to wait for room, that is not
// nil, and held is how long to wait for it at most.
func (a *Arrivals) add(m *arrival) (room <-chan struct{}, held time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over || a.dropped || a.ctx.Err() != nil:
		return nil, 0
	case len(a.order) > 0 && (len(a.order) >= maxArrivals || a.bytes+len(m.Raw) > maxArrivalBytes):
		if a.full.IsZero() {
			a.full = time.Now()
		}
		if left := maxHeld - time.Since(a.full); left > 0 {
			return a.room, left
		}
		a.dropped = true
		a.intake.Log.Warn("commands wait unconfirmed; those that come now are left with the server", "unconfirmed", len(a.order), "bytes", a.bytes)
		return nil, 0
	}
	a.order = append(a.order, m)
	a.bytes += len(m.Raw)
	if m.taken {
		return nil, 0
	}
	device := m.Command.Device
	if a.waiting[device] = append(a.waiting[device], m); len(a.waiting[device]) == 1 {
		a.lines.Go(func() { a.serve(device) })
	}
	return nil, 0
}

// serve takes the messages for one device, in their order, until none waits.
func (a *Arrivals) serve(device gateway.DeviceID) {
	for m := a.first(device); m != nil; m = a.next(device) {
		if a.intake.Take(a.ctx, m.Command, m.Fault, m.Raw) != nil {
			return // the session has ended
		}
		a.mu.Lock()
		m.taken = true
		a.mu.Unlock()
		a.confirm()
	}
}

func (a *Arrivals) first(device gateway.DeviceID) *arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting[device][0]
}

// next removes the first of a line, which is taken, and returns the one behind
// it; nil if the line has ended.
func (a *Arrivals) next(device gateway.DeviceID) *arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	line := drop(a.waiting[device])
	if len(line) == 0 {
		delete(a.waiting, device)
		return nil
	}
	a.waiting[device] = line
	return line[0]
}

// drop removes the first of a list, and lets go of it: what is in front of a slice
// stays in memory for as long as the rest.
func drop(list []*arrival) []*arrival {
	list[0] = nil
	return list[1:]
}

// confirm confirms what is taken and has nothing before it that is not.
func (a *Arrivals) confirm() {
	a.confirming.Lock()
	defer a.confirming.Unlock()
	for _, m := range a.confirmable() {
		m.Ack()
	}
}

func (a *Arrivals) confirmable() (list []*arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.order) > 0 && a.order[0].taken {
		list = append(list, a.order[0])
		a.bytes -= len(a.order[0].Raw)
		a.order = drop(a.order)
	}
	if len(list) > 0 {
		close(a.room)
		a.room = make(chan struct{})
	}
	if few := len(a.order) <= fewArrivals && a.bytes <= maxArrivalBytes/4; few {
		a.full = time.Time{}
		if a.dropped && !a.renewed {
			a.renewed = true
			close(a.renew)
		}
	}
	return list
}
