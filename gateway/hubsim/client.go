package hubsim

import (
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// client is who has connected: a device of the hub, or a board that registers
// itself with the provisioning service. All run in the loop that reads the
// connection.
type client interface {
	// present reports whether a session of before is resumed.
	present() bool
	// established runs when the CONNACK is out.
	established()
	// publish takes a message; nil acknowledges it.
	publish(p packets.Packet) error
	// acknowledged takes the PUBACK of a message to the client.
	acknowledged(packetID uint16) error
	// mayRead reports whether there is such a filter to subscribe to.
	mayRead(filter string) bool
	// subscribe notes what was granted, or refused.
	subscribe(changes map[string]byte) error
	// subscribed runs when the SUBACK is out.
	subscribed()
	// will takes the last will, if the client has vanished.
	will(w mochi.Will)
	// stop cuts the connection and logs why.
	stop(reason string, args ...any)
	// over cleans up after the end of the connection.
	over(err error)
}

func (c *conn) present() bool { return c.resumed }

func (c *conn) established() {
	if f := c.hub.faults.take(c.device, faultThrottle); f.Kind != "" {
		c.stop("fault injected", "kind", f.Kind)
		return
	}
	if f := c.hub.faults.take(c.device, faultTakeover); f.Kind != "" {
		c.stopAfter(f.delay(), "fault injected: the device has connected anew", "kind", f.Kind)
	}
	c.log.Info("device connected", "clean", c.clean, "resumed", c.resumed)
	c.hub.running.Go(c.deliver)
	c.wakeUp()
}

func (c *conn) acknowledged(packetID uint16) error { return c.hub.state.acknowledged(c, packetID) }

func (c *conn) mayRead(filter string) bool { return allowedFilter(c.device, filter) }

func (c *conn) subscribe(changes map[string]byte) error { return c.hub.state.subscribe(c, changes) }

func (c *conn) subscribed() { c.wakeUp() }
