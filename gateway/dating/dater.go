package dating

import (
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// maxEarly bounds how many messages are remembered that were sent early: not more than
// that are in flight.
const maxEarly = 1000

// Dater dates messages that leave the queue. It is safe for concurrent use.
type Dater struct {
	starts *Starts

	mu sync.Mutex
	// early are messages that were sent with an estimate that has no end yet, and order
	// has them from the oldest on: what is in flight must be the same if it is sent
	// again, even if the time has become known since.
	early map[gateway.MessageID]Start
	order []gateway.MessageID
}

// NewDater returns a Dater that goes by what starts knows.
func NewDater(starts *Starts) *Dater {
	return &Dater{starts: starts, early: make(map[gateway.MessageID]Start)}
}

// Date puts the times of day that are known by now into a message that is about to be
// sent, and estimates for those that are not. All else stays as it is.
func (d *Dater) Date(m gateway.Message) gateway.Message { return d.date(m, true) }

// Show is Date for those who only look.
func (d *Dater) Show(m gateway.Message) gateway.Message { return d.date(m, false) }

func (d *Dater) date(m gateway.Message, sent bool) gateway.Message {
	uptime, undated := gateway.Uptime(m.Created)
	if undated {
		m.Created = time.Time{}
	}
	b, labelled := parse(m.Body)
	if !labelled {
		return m
	}
	start := d.start(m.ID, b.boot, sent)
	if undated && !start.At.IsZero() {
		m.Created = start.At.Add(uptime)
	}
	m.Body = b.dated(start)
	return m
}

// start is that of a boot, as a message has it.
func (d *Dater) start(id gateway.MessageID, boot string, sent bool) Start {
	d.mu.Lock()
	defer d.mu.Unlock()
	if start, early := d.early[id]; early {
		return start
	}
	start := d.starts.Of(boot)
	if sent && start.At.IsZero() && start.Before.IsZero() {
		if len(d.order) == maxEarly {
			delete(d.early, d.order[0])
			d.order = d.order[1:]
		}
		d.early[id], d.order = start, append(d.order, id)
	}
	return start
}
