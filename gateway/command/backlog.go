package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// ConditionBacklog stands while commands are left with their senders because too
// many wait here.
const ConditionBacklog = "command-backlog"

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
	// done is closed at the final state, which is result then; nil if nobody asked.
	done   chan struct{}
	final  bool
	result gateway.Result
}

// load is how much waits, or has a place kept for it.
type load struct{ commands, bytes int }

func (l *load) add(commands, bytes int) { l.commands, l.bytes = l.commands+commands, l.bytes+bytes }

// fits reports whether one more command finds room in 1/share of the bounds.
// One that is large finds room where nothing else waits.
func (l load) fits(bytes int, most Devices, share int) bool {
	return l.commands == 0 || l.commands < most.MaxWaiting/share && l.bytes+bytes <= most.MaxWaitingBytes/share
}

// deviceShare is the part of the room that one device gets: half of it, so that
// one that is slow leaves some to the others.
const deviceShare = 2

// hasRoom reports whether a command may be journalled for a worker; mu is held.
func (d *Dispatcher) hasRoom(w *worker, bytes int) bool {
	most := d.fleet.Load().Devices
	return w.load.fits(bytes, most, deviceShare) && d.load.fits(bytes, most, 1)
}

// full reports whether a command finds no room, and how many wait for its device.
func (d *Dispatcher) full(w *worker, bytes int) (waiting int, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return w.load.commands, !d.hasRoom(w, bytes)
}

func (d *Dispatcher) waitingCommands() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.load.commands
}

// reserve waits for room for one more command of a worker, once Run has begun and
// until it stops, and keeps it.
func (d *Dispatcher) reserve(ctx context.Context, w *worker, bytes int) error {
	if err := d.open(ctx); err != nil {
		return err
	}
	for {
		room, kept := d.tryReserve(w, bytes)
		if kept {
			return nil
		}
		err := d.awaitRoom(ctx, room)
		d.mu.Lock()
		d.held--
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// tryReserve keeps room or counts the caller among those that wait for it.
func (d *Dispatcher) tryReserve(w *worker, bytes int) (room <-chan struct{}, kept bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hasRoom(w, bytes) {
		w.load.add(1, bytes)
		d.load.add(1, bytes)
		if d.held == 0 {
			d.opts.Health.Clear(ConditionBacklog)
		}
		return nil, true
	}
	if d.held++; d.held == 1 {
		d.opts.Health.Raise(ConditionBacklog, health.Warning, fmt.Sprintf(
			"%d commands wait, %d of them for %s; more are left with their senders until some have been carried out", d.load.commands, w.load.commands, w.label()))
	}
	return d.room, false
}

func (d *Dispatcher) awaitRoom(ctx context.Context, room <-chan struct{}) error {
	select {
	case <-room:
		return nil
	case <-d.stopping:
		return errStopping()
	case <-ctx.Done():
		return fmt.Errorf("no room for it yet: %w (%w)", gateway.ErrFull, ctx.Err())
	}
}

// open waits until commands are taken.
func (d *Dispatcher) open(ctx context.Context) error {
	select {
	case <-d.ready:
	case <-d.stopping:
		return errStopping()
	case <-ctx.Done():
		return fmt.Errorf("commands are not taken yet: %w", ctx.Err())
	}
	select {
	case <-d.stopping: // select alone would choose at random
		return errStopping()
	default:
		return nil
	}
}

// release gives room back.
func (d *Dispatcher) release(w *worker, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.releaseLocked(w, bytes)
}

func (d *Dispatcher) releaseLocked(w *worker, bytes int) {
	w.load.add(-1, -bytes)
	d.load.add(-1, -bytes)
	d.tellRoom()
}

// tellRoom tells those that wait for room to look; mu is held.
func (d *Dispatcher) tellRoom() {
	if d.held == 0 {
		d.opts.Health.Clear(ConditionBacklog)
		return
	}
	close(d.room)
	d.room = make(chan struct{})
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

// watch returns a channel that is closed at the final state of a command.
func (d *Dispatcher) watch(t *ticket) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.done == nil {
		t.done = make(chan struct{})
		if t.final {
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
func (d *Dispatcher) finished(r gateway.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.underway[r.CommandID]
	delete(d.underway, r.CommandID)
	d.counts.final[r.Status]++
	if t == nil {
		return
	}
	t.final, t.result = true, r
	if t.done != nil {
		close(t.done)
	}
}

// bytesOf is what a command counts in the backlog: about what it takes on disk.
func bytesOf(cmd gateway.Command) int {
	n := 200 + len(cmd.ID) + len(cmd.Device) + len(cmd.Action)
	for name, v := range cmd.Args {
		text, _ := v.(string)
		n += 20 + len(name) + len(text)
	}
	return n
}

// errCancelled is the cause of a command that was ended early.
var errCancelled = errors.New("cancelled")
