package hubsim

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// conn is one MQTT connection of a device.
type conn struct {
	hub    *Hub
	client *mochi.Client
	wire   *wire
	device string
	// apiVersion is that of the user name, perhaps "".
	apiVersion string
	clean      bool
	resumed    bool // a session was there
	// stamps is the JSON of what the hub adds to every message; see event.
	stamps []byte
	token  []byte // signature of the token with which it has signed in
	log    *slog.Logger

	// The mutex of state guards these.
	filters  map[string]byte
	inflight map[uint16]*command
	locks    map[uint16]time.Time // when those with a fault come again
	packetID uint16
	outbox   []packets.Packet // that need no PUBACK

	wake   chan struct{} // there may be something to deliver
	done   chan struct{} // closed at the end of the connection
	once   sync.Once
	timers []*time.Timer // that end the connection; the loop that reads has them
}

// stop cuts the connection. A device is told nothing; the log is.
func (c *conn) stop(reason string, args ...any) {
	c.once.Do(func() {
		c.log.Warn("connection closed by the hub: "+reason, args...)
		close(c.done)
	})
	c.client.Stop(packets.CodeDisconnect)
}

// stopAfter cuts the connection later, if it is still there.
func (c *conn) stopAfter(d time.Duration, reason string, args ...any) {
	c.timers = append(c.timers, time.AfterFunc(d, func() { c.stop(reason, args...) }))
}

// over cleans up when the connection has ended, by whomever.
func (c *conn) over(err error) {
	c.once.Do(func() {
		if err == nil {
			c.log.Info("device has disconnected")
		} else {
			c.log.Info("connection lost", "error", err)
		}
		close(c.done)
	})
	for _, t := range c.timers {
		t.Stop()
	}
	c.hub.state.detach(c)
}

func (c *conn) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// maxOutbox is how many messages without PUBACK may wait for a device that
// does not read.
const maxOutbox = 1000

// post puts a message that needs no PUBACK in the order of delivery. The mutex
// of state is held.
func (c *conn) post(p packets.Packet) {
	if len(c.outbox) >= maxOutbox {
		c.hub.running.Go(func() { c.stop("the device does not read what is sent to it") }) // closing may take a while
		return
	}
	c.outbox = append(c.outbox, p)
	c.wakeUp()
}

// deliver writes to the device until the connection ends.
func (c *conn) deliver() {
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		for {
			packet, ok, err := c.hub.state.next(c)
			if err == nil && ok {
				err = errors.Join(c.client.WritePacket(packet), c.wire.flush())
			}
			if err != nil {
				c.stop("a message cannot be delivered", "error", err)
				return
			}
			if !ok {
				break
			}
		}
	}
}

// next takes what waits for c: what needs no PUBACK, or else the oldest
// command, as a packet.
func (s *state) next(c *conn) (packet packets.Packet, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(c.outbox) > 0 {
		packet, c.outbox = c.outbox[0], c.outbox[1:]
		return packet, true, nil
	}
	c.unlock(time.Now())
	d := s.devices[c.device]
	qos, subscribed := c.deviceboundQoS()
	if d == nil || d.conn != c || !subscribed {
		return packet, false, nil
	}
	if err := s.expire(d, time.Now()); err != nil {
		return packet, false, err
	}
	for _, cmd := range d.commands {
		if cmd.State != stateQueued {
			continue
		}
		packet = c.packet(cmd, qos)
		if qos == 0 { // nobody will acknowledge it
			return packet, true, s.end(d, cmd, stateCompleted, outcomeSuccess, cmd.Deliveries+1)
		}
		c.lock(packet.PacketID, cmd)
		return packet, true, s.delivered(cmd)
	}
	return packet, false, nil
}

// lock notes that a command is with the device. The lock lasts as long as the
// connection, unless a fault ends it.
func (c *conn) lock(packetID uint16, cmd *command) {
	c.inflight[packetID] = cmd
	if f := c.hub.faults.take(c.device, faultExpireLock); f.Kind != "" {
		c.locks[packetID] = time.Now().Add(f.delay())
		time.AfterFunc(f.delay(), c.wakeUp)
	}
}

// unlock puts back what the device has held for too long. Its acknowledgement
// comes too late then. The mutex of state is held.
func (c *conn) unlock(now time.Time) {
	for packetID, end := range c.locks {
		if now.Before(end) {
			continue
		}
		if cmd := c.inflight[packetID]; cmd != nil {
			c.log.Warn("the lock of a command has ended", "number", cmd.Number)
			cmd.requeue()
		}
		delete(c.inflight, packetID)
		delete(c.locks, packetID)
	}
}

func (c *conn) packet(cmd *command, qos byte) packets.Packet {
	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos, Dup: qos > 0 && cmd.Deliveries > 0},
		TopicName:   deviceboundTopic(cmd.Device) + cmd.Bag,
		Payload:     cmd.Body,
	}
	if qos > 0 {
		c.packetID = c.packetID%65535 + 1
		for c.inflight[c.packetID] != nil { // at most 50 are
			c.packetID = c.packetID%65535 + 1
		}
		p.PacketID = c.packetID
	}
	return p
}

// acknowledged completes the command that went out under a packet id.
func (s *state) acknowledged(c *conn, packetID uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd, ok := c.inflight[packetID]
	if !ok {
		c.log.Warn("PUBACK for a packet that is not in flight", "packet", packetID)
		return nil
	}
	delete(c.inflight, packetID)
	d := s.devices[c.device]
	if d == nil || d.conn != c || cmd.State != stateDelivered {
		return nil // a newer connection has it
	}
	return s.end(d, cmd, stateCompleted, outcomeSuccess, cmd.Deliveries)
}

func newConn(h *Hub, cl *mochi.Client, id identity, apiVersion string, clean bool) *conn {
	return &conn{
		hub: h, client: cl, wire: link(cl), device: id.ID, apiVersion: apiVersion, clean: clean,
		log:      h.log.With("device", id.ID),
		inflight: map[uint16]*command{}, locks: map[uint16]time.Time{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}
