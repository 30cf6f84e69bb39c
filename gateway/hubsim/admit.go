package hubsim

import (
	"errors"
	"fmt"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

var errUnavailable = errors.New("fault injected: unavailable")

// admit lets a client in, or says why not. One port serves the hub and the
// provisioning service; the user name tells them apart.
func (h *Hub) admit(cl *mochi.Client, p packets.Packet) (client, error) {
	if f := h.faults.take(p.Connect.ClientIdentifier, faultRefuse); f.Code == 3 {
		return nil, errUnavailable
	} else if f.Code == 5 {
		return nil, errors.New("fault injected: not authorized")
	}
	l, err := parseUserName(string(p.Connect.Username))
	if err != nil {
		return nil, err
	}
	cl.State.Keepalive = keepAlive(p.Connect.Keepalive)
	if l.registration != "" {
		return h.board(cl, l, p)
	}
	return h.admitDevice(cl, l, p)
}

func (h *Hub) admitDevice(cl *mochi.Client, l login, p packets.Packet) (client, error) {
	id, proof, err := h.authenticate(l, p.Connect.ClientIdentifier, string(p.Connect.Password), link(cl).chain)
	if err != nil {
		return nil, err
	}
	c := newConn(h, cl, id, l.apiVersion, p.Connect.Clean)
	c.stamps, c.token = stamps(id, proof), proof.token
	if p.Connect.WillFlag {
		if _, err := c.event(p.Connect.WillTopic, p.Connect.WillPayload); err != nil {
			return nil, fmt.Errorf("the last will is no message: %w", err)
		}
	}
	old, err := h.state.attach(c)
	if err != nil {
		return nil, err
	}
	if old != nil {
		old.stop("the device has connected anew", "by", c.wire.RemoteAddr().String())
	}
	if !proof.ends.IsZero() {
		c.stopAfter(time.Until(proof.ends), "the token of the device has ended")
	}
	return c, nil
}

// keepAlive caps what a client asks for. The hub closes a silent connection
// after one and a half times as long, and after 1767 s at most.
func keepAlive(seconds uint16) uint16 {
	if seconds == 0 {
		return 1177
	}
	return min(seconds, 1177)
}
