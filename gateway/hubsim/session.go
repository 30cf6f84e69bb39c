package hubsim

import (
	"maps"
	"strings"
	"time"
)

// allowedFilter reports whether a device may subscribe to filter. These are
// all that the hub has; so the five that it grants at most cannot be exceeded.
func allowedFilter(device, filter string) bool {
	switch filter {
	case methodRequests + "#", twinAnswers + "#", twinDesired + "#":
		return true
	}
	return isDevicebound(device, filter)
}

// isDevicebound knows both spellings that devices use.
func isDevicebound(device, filter string) bool {
	if isModule(device) {
		return false
	}
	return filter == deviceboundTopic(device)+"#" || filter == "devices/"+device+"/messages/deviceBound/#"
}

func deviceboundTopic(device string) string { return "devices/" + device + "/messages/devicebound/" }

// attach makes c the one connection of its device and gives it the session
// that is there. It returns the connection that was, if there is one.
func (s *state) attach(c *conn) (old *conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[c.device]
	if !ok {
		return nil, errNoDevice
	}
	if c.clean && d.filters != nil {
		if err := s.commit(change{Session: &session{Device: d.ID}}); err != nil {
			return nil, err
		}
	}
	c.resumed = d.filters != nil
	c.filters = map[string]byte{}
	maps.Copy(c.filters, d.filters)
	if !c.clean && !c.resumed {
		if err := s.commit(change{Session: &session{Device: d.ID, Filters: c.filters}}); err != nil {
			return nil, err
		}
	}
	old = d.conn
	d.conn, d.changed, d.activity = c, time.Now(), time.Now()
	d.requeue()
	s.announce()
	return old, nil
}

// announce wakes those who wait for a device. The mutex is held.
func (s *state) announce() {
	close(s.news)
	s.news = make(chan struct{})
}

// detach ends what c has begun, unless a newer connection has taken over.
func (s *state) detach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[c.device]; d != nil && d.conn == c {
		d.conn, d.changed = nil, time.Now()
		d.requeue()
	}
}

func (d *device) requeue() {
	for _, c := range d.commands {
		c.requeue()
	}
}

// subscribe notes what c subscribes to; a QoS of refused takes a filter away.
func (s *state) subscribe(c *conn, changes map[string]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[c.device]; d == nil || d.conn != c {
		return errOver // the session is a newer connection's, or gone with the device
	}
	filters := maps.Clone(c.filters)
	for filter, qos := range changes {
		if qos == refused {
			delete(filters, filter)
		} else {
			filters[filter] = qos
		}
	}
	if !c.clean {
		if err := s.commit(change{Session: &session{Device: c.device, Filters: filters}}); err != nil {
			return err
		}
	}
	c.filters = filters
	s.announce()
	return nil
}

// refused is the QoS in a SUBACK that says no.
const refused = 0x80

// reads reports whether c has subscribed to all below a topic. The mutex is
// held.
func (c *conn) reads(topic string) bool {
	_, ok := c.filters[topic+"#"]
	return ok
}

// deviceboundQoS is the QoS at which c wants commands. The mutex is held.
func (c *conn) deviceboundQoS() (qos byte, ok bool) {
	for filter, granted := range c.filters {
		if strings.HasPrefix(filter, "devices/") {
			qos, ok = max(qos, granted), true
		}
	}
	return qos, ok
}
