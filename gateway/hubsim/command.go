package hubsim

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// maxQueue is how many commands may wait for a device.
	maxQueue = 50
	// maxCommandBytes bounds the body of a command.
	maxCommandBytes = 64 << 10
	// keepEnded is how many commands that have ended are remembered by device.
	keepEnded = 1000
)

// The states of a command: queued → delivered → completed. A lost connection
// leads back to queued, the end of its time from queued to dead-lettered.
const (
	stateQueued       = "queued"
	stateDelivered    = "delivered"
	stateCompleted    = "completed"
	stateDeadLettered = "dead-lettered"
)

// command is a cloud-to-device message.
type command struct {
	Number   int64     `json:"number"` // within this hub, from 1
	Device   string    `json:"device"`
	ID       string    `json:"id"` // as the sender has named it, perhaps ""
	State    string    `json:"state"`
	Enqueued time.Time `json:"enqueued"`
	Expiry   time.Time `json:"expiry"`
	// Deliveries counts how often it went out. It has no limit: over MQTT a
	// device cannot reject, and a lost connection does not count as one.
	Deliveries int    `json:"delivery_count"`
	Ack        string `json:"ack,omitempty"` // which outcomes the sender wants to hear of
	Bag        string `json:"bag"`           // as it goes into the topic
	Body       []byte `json:"body,omitempty"`
}

// step is what became of a command.
type step struct {
	Device     string `json:"device"`
	Number     int64  `json:"number"`
	State      string `json:"state"`
	Deliveries int    `json:"delivery_count"`
	// Feedback is what the back end will hear, if it has ended.
	Feedback *feedback `json:"feedback,omitempty"`
}

var errQueueFull = fmt.Errorf("%d messages wait for the device, which is the limit", maxQueue)

func (c *command) ended() bool { return c.State == stateCompleted || c.State == stateDeadLettered }

// requeue puts back what a lost connection has left unacknowledged.
func (c *command) requeue() {
	if c.State == stateDelivered {
		c.State = stateQueued
	}
}

// advance does what a step says. The body goes when a command has ended.
func (d *device) advance(s step) {
	i := slices.IndexFunc(d.commands, func(c *command) bool { return c.Number == s.Number })
	if i < 0 {
		return // it was forgotten
	}
	c := d.commands[i]
	c.State, c.Deliveries = s.State, s.Deliveries
	if !c.ended() {
		return
	}
	c.Body = nil
	if len(d.commands) > maxQueue+keepEnded {
		oldest := slices.IndexFunc(d.commands, (*command).ended)
		d.commands = slices.Delete(d.commands, oldest, oldest+1)
	}
}

// delivered commits that a command went out. The caller holds the mutex.
func (s *state) delivered(c *command) error {
	return s.commit(change{Step: &step{Device: c.Device, Number: c.Number, State: stateDelivered, Deliveries: c.Deliveries + 1}})
}

// send puts a command into the queue of its device and wakes who delivers.
func (s *state) send(c *command) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[c.Device]
	if !ok {
		return errNoDevice
	}
	c.Enqueued = time.Now().UTC()
	if c.Expiry.IsZero() {
		c.Expiry = c.Enqueued.Add(s.ttl)
	}
	if err := errors.Join(s.expire(d, c.Enqueued), s.forgetFeedback(c.Enqueued)); err != nil {
		return err
	}
	waiting := 0
	for _, other := range d.commands {
		if !other.ended() {
			waiting++
		}
	}
	if waiting >= maxQueue {
		return errQueueFull
	}
	c.Number, c.State = s.number+1, stateQueued
	if err := s.commit(change{Command: c}); err != nil {
		return err
	}
	if d.conn != nil {
		d.conn.wakeUp()
	}
	return nil
}

// expire dead-letters what has waited too long. It runs whenever somebody
// looks, so that no timer is needed. The caller holds the mutex.
func (s *state) expire(d *device, now time.Time) error {
	var faults []error
	for _, c := range slices.Clone(d.commands) {
		if c.State == stateQueued && now.After(c.Expiry) {
			faults = append(faults, s.end(d, c, stateDeadLettered, outcomeExpired, c.Deliveries))
		}
	}
	return errors.Join(faults...)
}

// commands lists copies of the commands of a device, or of all for "".
func (s *state) commands(id string) ([]command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != "" && s.devices[id] == nil {
		return nil, errNoDevice
	}
	list := []command{}
	for _, d := range s.sorted() {
		if id != "" && d.ID != id {
			continue
		}
		if err := s.expire(d, time.Now()); err != nil {
			return nil, err
		}
		for _, c := range d.commands {
			list = append(list, *c)
		}
	}
	return list, nil
}
