package command

import (
	"context"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// ConditionBacklog stands while commands are left with their senders because too
// many wait here.
const ConditionBacklog = "command-backlog"

// load is how much waits, or has a place kept for it.
type load struct{ commands, bytes int }

func (l *load) add(commands, bytes int) { l.commands, l.bytes = l.commands+commands, l.bytes+bytes }

// fits reports whether one more command finds room in 1/share of the bounds.
// One that is large finds room where nothing else waits.
func (l load) fits(bytes int, most Devices, share int) bool {
	return l.commands == 0 || l.commands < most.MaxWaiting/share && l.bytes+bytes <= most.MaxWaitingBytes/share
}

// eased reports whether a quarter of 1/share of the bounds is free again.
func (l load) eased(most Devices, share int) bool {
	return l.commands <= most.MaxWaiting/share*3/4 && l.bytes <= most.MaxWaitingBytes/share*3/4
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
		return nil, true
	}
	if d.held++; d.crowded == nil {
		d.crowded = w
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

// tellRoom tells those that wait for room to look; mu is held. That commands are left
// with their senders is over once there is room for some more.
func (d *Dispatcher) tellRoom() {
	if d.held > 0 {
		close(d.room)
		d.room = make(chan struct{})
		return
	}
	if most := d.fleet.Load().Devices; d.crowded != nil && d.crowded.load.eased(most, deviceShare) && d.load.eased(most, 1) {
		d.crowded = nil
		d.opts.Health.Clear(ConditionBacklog)
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
