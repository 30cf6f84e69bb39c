package uplink

import (
	"context"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
)

// The bounds of what one session may have brought and nobody has taken yet. A
// hub keeps 50 messages of 64 KiB for a device; that much never blocks.
const (
	maxArrivals     = 1024
	maxArrivalBytes = 4 << 20
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
	over    bool          // no line is begun any more
}

type arrival struct {
	Arrival
	taken bool
}

// Begin begins the intake of one session. It ends with ctx; wait for it then.
func (i Intake) Begin(ctx context.Context) *Arrivals {
	return &Arrivals{intake: i, ctx: ctx, waiting: make(map[gateway.DeviceID][]*arrival), room: make(chan struct{})}
}

// Take takes a message over, to be journalled and then confirmed. It waits while
// there are too many; one that comes after the end is dropped: what is not
// confirmed comes again.
func (a *Arrivals) Take(m Arrival) { a.take(&arrival{Arrival: m}) }

// Pass takes a message over that is only to be confirmed when its turn comes.
func (a *Arrivals) Pass(ack func()) {
	a.take(&arrival{Arrival: Arrival{Ack: ack}, taken: true})
	a.confirm()
}

func (a *Arrivals) take(m *arrival) {
	for {
		room, held := a.add(m)
		if held {
			return
		}
		select {
		case <-room:
		case <-a.ctx.Done():
			return
		}
	}
}

// Wait waits for the end of all that was begun; ctx has ended.
func (a *Arrivals) Wait() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.lines.Wait()
}

// add gives a message its place, if there is one.
func (a *Arrivals) add(m *arrival) (room <-chan struct{}, held bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil, true
	}
	if len(a.order) > 0 && (len(a.order) >= maxArrivals || a.bytes+len(m.Raw) > maxArrivalBytes) {
		return a.room, false
	}
	a.order = append(a.order, m)
	a.bytes += len(m.Raw)
	if m.taken {
		return nil, true
	}
	device := m.Command.Device
	if a.waiting[device] = append(a.waiting[device], m); len(a.waiting[device]) == 1 {
		a.lines.Go(func() { a.serve(device) })
	}
	return nil, true
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
	line := a.waiting[device][1:]
	if len(line) == 0 {
		delete(a.waiting, device)
		return nil
	}
	a.waiting[device] = line
	return line[0]
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
		a.order = a.order[1:]
	}
	if len(list) > 0 {
		close(a.room)
		a.room = make(chan struct{})
	}
	return list
}
