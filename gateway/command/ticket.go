package command

import (
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// ticket is a command that is on record and has no final state. What it asks for
// is in the journal, so that ten thousand that wait take little memory.
type ticket struct {
	id     string
	device gateway.DeviceID
	bytes  int
	// place orders the tickets of a worker.
	place uint64
	// until is when a command expires whose expiry was set by the clock of this
	// board in this run: that counts whatever the clock does, also if nobody trusts
	// it. Zero for others.
	until time.Time

	// The rest is guarded by Dispatcher.mu.

	// w has the command; a change of the devices may give it to another one.
	w *worker
	// stop ends the command early; nil while it waits.
	stop func(cause error)
	// cancelled is why it is to be ended early; it outlives a change of the devices.
	cancelled error
	// done is closed at the final state, which is result then, or when the command is
	// passed over, which is why; nil if nobody asked.
	done   chan struct{}
	over   bool
	result gateway.Result
	why    error
}

// enqueue gives a command that is journalled, and has its room, its place behind
// the others of its device; mu is held.
func (d *Dispatcher) enqueue(w *worker, cmd gateway.Command, bytes int) *ticket {
	d.places++
	t := &ticket{id: cmd.ID, device: cmd.Device, bytes: bytes, w: w, place: d.places}
	d.underway[cmd.ID] = t
	w.waiting = append(w.waiting, t)
	w.nudge()
	return t
}

// first is the next command of a worker; nil if none waits.
func (w *worker) first() *ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		return nil
	}
	return w.waiting[0]
}

// dequeue takes a command that was the first out of the backlog. From then on stop can
// end it early. It reports false if the command has been withdrawn meanwhile.
func (w *worker) dequeue(t *ticket, stop func(cause error)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 || w.waiting[0] != t {
		return false
	}
	if t.stop = stop; t.cancelled != nil {
		stop(t.cancelled)
	}
	w.withdraw(t)
	return true
}

// withdraw takes a command out of the backlog; mu is held.
func (d *Dispatcher) withdraw(t *ticket) {
	i, _ := slices.BinarySearchFunc(t.w.waiting, t.place, byPlace)
	t.w.waiting = slices.Delete(t.w.waiting, i, i+1)
	d.releaseLocked(t.w, t.bytes)
}

// requeue puts a command back into its place that was taken out and not brought to its
// end. The devices may have changed meanwhile.
func (d *Dispatcher) requeue(t *ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.stop = nil
	t.w = d.fleet.Load().of(t.device)
	t.w.load.add(1, t.bytes)
	d.load.add(1, t.bytes)
	t.w.insert(t)
}

// insert puts a command into its place among those that wait; mu is held.
func (w *worker) insert(t *ticket) {
	i, _ := slices.BinarySearchFunc(w.waiting, t.place, byPlace)
	w.waiting = slices.Insert(w.waiting, i, t)
	w.nudge()
}

func byPlace(t *ticket, place uint64) int {
	switch {
	case t.place < place:
		return -1
	case t.place > place:
		return 1
	}
	return 0
}

// watch returns a channel that is closed at the final state of a command, or when it
// was passed over.
func (d *Dispatcher) watch(t *ticket) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.done == nil {
		t.done = make(chan struct{})
		if t.over {
			close(t.done)
		}
	}
	return t.done
}

func (d *Dispatcher) ticket(id string) *ticket {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.underway[id]
}

// finished ends a ticket.
func (d *Dispatcher) finished(r gateway.Result, origin gateway.Origin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.underway[r.CommandID]
	delete(d.underway, r.CommandID)
	d.counts.final[ending{origin, r.Status}]++
	if t == nil {
		return
	}
	t.result = r
	t.end()
}

// passOver takes a command that was the first out of the backlog without a final state.
func (w *worker) passOver(t *ticket) {
	if !w.dequeue(t, func(error) {}) { // cancelled just now, which is its end
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.why = fmt.Errorf("command %s: its entry in the journal cannot be read, the next start decides what becomes of it: %w", sendersID(t.id), gateway.ErrUnavailable)
	t.end()
}

// end tells those who wait for a command that there is nothing more to wait for; mu is
// held.
func (t *ticket) end() {
	t.over = true
	if t.done != nil {
		close(t.done)
	}
}
