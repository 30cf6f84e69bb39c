package hubsim

import (
	"errors"
	"log/slog"
	"math"
	"slices"
	"strconv"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// broker ties the broker library to the hub. The library sees only clean
// sessions whose client ids are never used twice, so that it keeps nothing
// and takes nothing over: it would write a DISCONNECT to the old client, which
// MQTT 3.1.1 does not have.
type broker struct {
	mochi.HookBase
	hub    *Hub
	server *mochi.Server
}

func newBroker(h *Hub) (*broker, error) {
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MinimumProtocolVersion = 4
	capabilities.MaximumQos = 1
	capabilities.RetainAvailable = 0
	capabilities.MaximumSessionExpiryInterval = 0
	capabilities.MaximumPacketSize = maxMessageBytes + math.MaxUint16 + 16 // body, topic, header
	b := &broker{hub: h, server: mochi.New(&mochi.Options{
		Capabilities: capabilities, Logger: slog.New(slog.DiscardHandler),
		ClientNetReadBufferSize: 16 << 10,
		SysTopicResendInterval:  24 * 60 * 60, // nobody may read them
	})}
	return b, errors.Join(b.server.AddHook(b, nil), b.server.Serve())
}

// ID names the hook.
func (b *broker) ID() string { return "hubsim" }

// Provides lists the hooks below.
func (b *broker) Provides(hook byte) bool {
	return slices.Contains([]byte{
		mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnSessionEstablished, mochi.OnACLCheck,
		mochi.OnPacketRead, mochi.OnPacketEncode, mochi.OnPacketProcessed,
		mochi.OnSubscribed, mochi.OnUnsubscribe, mochi.OnPublish, mochi.OnWill,
	}, hook)
}

// link is the client's connection with what the hub knows of it.
func link(cl *mochi.Client) *wire {
	w, _ := cl.Net.Conn.(*wire) // all are, but the library's own client
	return w
}

// OnConnect decides on a CONNECT. An error ends the connection.
func (b *broker) OnConnect(cl *mochi.Client, p packets.Packet) error {
	w := link(cl)
	if w == nil {
		return errors.New("not a connection of the hub")
	}
	refuse := func(code packets.Code, reason string) error {
		w.refused = true
		b.hub.log.Warn("connection refused: "+reason, "client", p.Connect.ClientIdentifier, "remote", w.RemoteAddr().String())
		cl.Properties.ProtocolVersion = 4 // in whose words the answer is written
		_ = b.server.SendConnack(cl, code, false, nil)
		return code
	}
	if p.ProtocolVersion != 4 {
		return refuse(packets.ErrUnsupportedProtocolVersion, "the hub speaks MQTT 3.1.1 only, which is protocol level 4")
	}
	c, err := b.hub.admit(cl, p)
	if err != nil {
		code := packets.ErrBadUsernameOrPassword // "not authorized" in MQTT 3.1.1
		if errors.Is(err, errUnavailable) {
			code = packets.ErrServerUnavailable
		}
		return refuse(code, err.Error())
	}
	w.client = c
	cl.ID += "#" + strconv.FormatInt(b.hub.connections.Add(1), 10)
	cl.Properties.Clean = true
	return nil
}

// OnConnectAuthenticate is true: OnConnect has refused the others.
func (b *broker) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

// OnPacketEncode says in the CONNACK what the hub, not the library, remembers.
func (b *broker) OnPacketEncode(cl *mochi.Client, p packets.Packet) packets.Packet {
	if w := link(cl); p.FixedHeader.Type == packets.Connack && w != nil && w.client != nil {
		p.SessionPresent = w.client.present()
	}
	return p
}

// OnSessionEstablished runs when the CONNACK is out.
func (b *broker) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	link(cl).client.established()
}

// OnPacketRead sees each packet first.
func (b *broker) OnPacketRead(cl *mochi.Client, p packets.Packet) (packets.Packet, error) {
	w := link(cl)
	if w == nil || w.client == nil {
		return p, nil
	}
	switch c := w.client; p.FixedHeader.Type {
	case packets.Publish:
		if p.FixedHeader.Qos > 1 { // the library would lower it
			c.stop("a message with QoS 2, which the hub does not have", "topic", p.TopicName)
			return p, packets.ErrRejectPacket
		}
	case packets.Puback:
		if err := c.acknowledged(p.PacketID); err != nil {
			c.stop("an acknowledgement cannot be recorded", "error", err)
			return p, packets.ErrRejectPacket
		}
	}
	return p, nil
}

// OnACLCheck decides on subscriptions; on topics of messages OnPublish does.
func (b *broker) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	if write || link(cl).client.mayRead(topic) {
		return true
	}
	b.hub.log.Warn("subscription refused, the hub has no such topic", "client", cl.ID, "filter", topic)
	return false
}

// OnSubscribed notes what was granted.
func (b *broker) OnSubscribed(cl *mochi.Client, p packets.Packet, codes []byte) {
	changes := map[string]byte{}
	for i, f := range p.Filters {
		if codes[i] <= 1 {
			changes[f.Filter] = codes[i]
		}
	}
	b.subscribe(cl, changes)
}

// OnUnsubscribe notes what is unsubscribed.
func (b *broker) OnUnsubscribe(cl *mochi.Client, p packets.Packet) packets.Packet {
	changes := map[string]byte{}
	for _, f := range p.Filters {
		changes[f.Filter] = refused
	}
	b.subscribe(cl, changes)
	return p
}

func (b *broker) subscribe(cl *mochi.Client, changes map[string]byte) {
	c := link(cl).client
	if err := c.subscribe(changes); err != nil {
		c.stop("subscriptions cannot be recorded", "error", err)
	}
}

// OnPacketProcessed runs after the answer: what waits for a subscription
// follows its SUBACK.
func (b *broker) OnPacketProcessed(cl *mochi.Client, p packets.Packet, _ error) {
	if p.FixedHeader.Type == packets.Subscribe {
		link(cl).client.subscribed()
	}
}

// OnPublish takes a message: nil acknowledges it, and nobody else gets it.
func (b *broker) OnPublish(cl *mochi.Client, p packets.Packet) (packets.Packet, error) {
	if err := link(cl).client.publish(p); err != nil {
		return p, err
	}
	return p, packets.CodeSuccessIgnore
}

// OnWill records a last will, and leaves nothing for the library to publish.
func (b *broker) OnWill(cl *mochi.Client, w mochi.Will) (mochi.Will, error) {
	if b.hub.closing.Err() == nil {
		link(cl).client.will(w)
	}
	return mochi.Will{TopicName: "none"}, nil
}
