package mqtt

import (
	"fmt"
	"strings"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

const maxTopicBytes = 65535 // MQTT 3.1.1, 1.5.3

// receipt is paho's token. After a loss it stays open: the client that could
// complete it is gone.
type receipt struct {
	paho.Token
	size int
}

func (r receipt) Err() error { return r.Error() }
func (r receipt) Size() int  { return r.size }

// Publish sends what belongs to the connection itself, such as presence; for
// the rest see Send.
func (c *Conn) Publish(topic string, payload []byte, retained bool) (uplink.Receipt, error) {
	return c.publish(uplink.ForConnection, topic, payload, 1, retained)
}

// Send sends a message with QoS 1 and returns when it is on its way. An error
// that wraps gateway.ErrInvalid blames the topic.
func (c *Conn) Send(p uplink.Purpose, topic string, payload []byte) (uplink.Receipt, error) {
	return c.publish(p, topic, payload, 1, false)
}

// Tell sends a message with QoS 0: nobody confirms it. nil means that the line
// has taken it, so that a Close that follows says goodbye after it.
func (c *Conn) Tell(p uplink.Purpose, topic string, payload []byte) error {
	written, err := c.publish(p, topic, payload, 0, false)
	if err != nil {
		return err
	}
	select {
	case <-written.Done():
		return written.Err()
	case <-c.done:
		return fmt.Errorf("publish: %w", c.Err())
	}
}

func (c *Conn) publish(p uplink.Purpose, topic string, payload []byte, qos byte, retained bool) (uplink.Receipt, error) {
	if topic == "" || len(topic) > maxTopicBytes || strings.ContainsAny(topic, "+#\x00") {
		return nil, fmt.Errorf("publish to %.80q (%d bytes): want 1 to %d bytes without +, # and NUL: %w",
			topic, len(topic), maxTopicBytes, gateway.ErrInvalid)
	}
	c.publishing.RLock()
	defer c.publishing.RUnlock()
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	var token paho.Token
	err := c.purposes.hand(p, func() error {
		token = c.client.Publish(topic, qos, retained, payload)
		return token.Error()
	})
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return receipt{token, publicationBytes(topic, payload)}, nil
}

// publicationBytes is the length of a PUBLISH with QoS 1 (MQTT 3.1.1, 3.3); with
// QoS 0, where nobody asks for it, it is two less.
func publicationBytes(topic string, payload []byte) int {
	rest := 2 + len(topic) + 2 + len(payload)
	head := 2
	for n := rest; n >= 128; n /= 128 {
		head++
	}
	return head + rest
}
