package storeforward

import (
	"context"

	"github.com/fieldpost/fieldpost/gateway"
)

// Outlet hands out the lanes that name it in LaneOptions.Outlet: those of one
// receiver. Each outlet goes on while others wait. Its methods are safe for
// concurrent use, except that only one goroutine at a time calls Next.
type Outlet struct {
	queue *Queue
	name  string
	// ready wakes Next after new messages or a Rewind.
	ready chan struct{}
}

// makeOutlets makes those that lanes name, and the queue's own.
func (q *Queue) makeOutlets() map[string]*Outlet {
	outlets := map[string]*Outlet{"": q.newOutlet("")}
	for _, l := range q.opts.Lanes {
		if outlets[l.Outlet] == nil {
			outlets[l.Outlet] = q.newOutlet(l.Outlet)
		}
	}
	return outlets
}

func (q *Queue) newOutlet(name string) *Outlet {
	return &Outlet{queue: q, name: name, ready: make(chan struct{}, 1)}
}

// Outlet is the one of a name, nil if no lane of the options names it. The
// outlet without a name has all other lanes; Next and Rewind of the Queue are
// its own.
func (q *Queue) Outlet(name string) *Outlet { return q.outlets[name] }

// Next is Queue.Next for the lanes of this outlet.
func (o *Outlet) Next(ctx context.Context) (gateway.Message, error) { return o.queue.next(ctx, o) }

// Ack is Queue.Ack.
func (o *Outlet) Ack(ids ...gateway.MessageID) error { return o.queue.Ack(ids...) }

// Reject is Queue.Reject.
func (o *Outlet) Reject(ctx context.Context, id gateway.MessageID, reason string) error {
	return o.queue.Reject(ctx, id, reason)
}

// Hold is Queue.Hold.
func (o *Outlet) Hold(name gateway.Lane, held bool) { o.queue.Hold(name, held) }

// Rewind is Queue.Rewind for the lanes of this outlet.
func (o *Outlet) Rewind() {
	o.queue.mu.Lock()
	for _, l := range o.queue.lanes {
		if l.Outlet == o.name {
			l.rewind()
		}
	}
	o.queue.mu.Unlock()
	o.wake()
}

func (o *Outlet) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}
