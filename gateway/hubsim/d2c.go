package hubsim

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// maxMessageBytes bounds a message: body, values of system properties, names
// and values of application properties.
const maxMessageBytes = 262_144

// messageIDForm is from the documentation of device-to-cloud messages.
var messageIDForm = regexp.MustCompile(`^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{0,128}$`)

// publish takes a message from a device. nil sends the PUBACK.
func (c *conn) publish(p packets.Packet) error {
	if rest, ok := strings.CutPrefix(p.TopicName, methodAnswers); ok {
		return c.judge(c.answered(rest, p.Payload))
	}
	if topic, ok := strings.CutPrefix(p.TopicName, twinRequests); ok {
		return c.judge(c.askTwin(topic, p.Payload))
	}
	return c.telemetry(p)
}

// judge closes the connection for what the hub does not take.
func (c *conn) judge(err error) error {
	if err != nil {
		c.stop(err.Error())
		return packets.ErrRejectPacket
	}
	return nil
}

// telemetry takes a device-to-cloud message.
func (c *conn) telemetry(p packets.Packet) error {
	f := c.hub.faults.take(c.device, publishFaults...)
	if f.Kind == faultQuota {
		c.stop("fault injected", "kind", f.Kind)
		return packets.ErrRejectPacket
	}
	if f.Kind == faultDropMessage {
		return packets.ErrRejectPacket
	}
	e, err := c.event(p.TopicName, p.Payload)
	if err != nil {
		c.stop(err.Error())
		return packets.ErrRejectPacket
	}
	if !c.within(len(p.Payload)) {
		return packets.ErrRejectPacket
	}
	if p.FixedHeader.Retain { // the hub retains nothing, it says so
		e.properties = append(e.properties, property{"mqtt-retain", "true"})
	}
	if err := c.hub.accept(e); err != nil {
		c.stop("a message cannot be recorded", "error", err)
		return packets.ErrRejectPacket
	}
	switch f.Kind {
	case faultDropPuback:
		return packets.ErrRejectPacket
	case faultKill:
		c.stop("fault injected", "kind", f.Kind)
		return packets.ErrRejectPacket
	case faultDelayPuback:
		_ = c.wire.flush() // a dead connection shows at the next read
		c.pause(f.delay())
	}
	return nil
}

// pause holds up all that comes after it on this connection, since PUBACKs
// keep the order of the messages.
func (c *conn) pause(d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-late.C:
	case <-c.done:
	case <-c.hub.closing.Done():
	}
}

// will records the last will of a device that has vanished.
func (c *conn) will(w mochi.Will) {
	e, err := c.event(w.TopicName, w.Payload)
	if err == nil {
		e.properties = append(e.properties, property{"iothub-MessageType", "Will"})
		err = c.hub.accept(e)
	}
	if err != nil {
		c.log.Warn("the last will is not recorded", "error", err)
	}
}

// event reads a device-to-cloud message. An error is what the hub closes the
// connection for.
func (c *conn) event(topic string, body []byte) (*event, error) {
	bag, ok := strings.CutPrefix(topic, resource(c.device)+"/messages/events/")
	if !ok {
		return nil, fmt.Errorf("topic %.120q is not for this device, want %s/messages/events/", topic, resource(c.device))
	}
	properties, err := parseBag(bag)
	if err != nil {
		return nil, err
	}
	e := &event{device: c.device, enqueued: time.Now(), stamps: c.stamps, body: body}
	size := len(body)
	for _, p := range properties {
		size += len(p.value)
		if name, system := systemNames[p.name]; system {
			e.system = append(e.system, property{name, p.value})
			continue
		}
		if strings.HasPrefix(p.name, "$.") {
			return nil, fmt.Errorf("there is no system property %.40q", p.name)
		}
		size += len(p.name)
		e.properties = append(e.properties, p)
	}
	if size > maxMessageBytes {
		return nil, fmt.Errorf("a message of %d bytes with its properties, the limit is %d", size, maxMessageBytes)
	}
	if id := value(e.system, "message-id"); !messageIDForm.MatchString(id) {
		return nil, fmt.Errorf("message id %.140q: want up to 128 letters, digits or -:.+%%_#*?!(),=@;$'", id)
	}
	return e, nil
}

// accept records a message and counts it.
func (h *Hub) accept(e *event) error {
	if err := h.record.append(e); err != nil {
		return err
	}
	err := h.audit.observe(e.device, func(name string) string { return value(e.properties, name) }, e.body)
	if err != nil {
		h.log.Warn("a gap record explains nothing", "device", e.device, "error", err)
	}
	return nil
}

// stamps is the JSON of what the hub adds to each message of a device.
func stamps(i identity, by proof) []byte {
	device, module, has := strings.Cut(i.ID, "/")
	list := []property{
		{"iothub-connection-device-id", device},
		{"iothub-connection-auth-generation-id", i.GenerationID},
		{"iothub-connection-auth-method", by.method},
		{"iothub-message-source", "Telemetry"},
	}
	if has {
		list = append(list, property{"iothub-connection-module-id", module})
	}
	var b []byte
	for _, p := range list {
		b = appendPair(append(b, ','), p)
	}
	return b
}
