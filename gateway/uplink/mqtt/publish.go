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
type receipt struct{ paho.Token }

func (r receipt) Err() error { return r.Error() }

// Publish sends a message with QoS 1 and returns when it is on its way. An
// error that wraps gateway.ErrInvalid blames the topic.
func (c *Conn) Publish(topic string, payload []byte, retained bool) (uplink.Receipt, error) {
	if topic == "" || len(topic) > maxTopicBytes || strings.ContainsAny(topic, "+#\x00") {
		return nil, fmt.Errorf("publish to %.80q (%d bytes): want 1 to %d bytes without +, # and NUL: %w",
			topic, len(topic), maxTopicBytes, gateway.ErrInvalid)
	}
	c.publishing.RLock()
	defer c.publishing.RUnlock()
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	token := c.client.Publish(topic, 1, retained, payload)
	if err := token.Error(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return receipt{token}, nil
}
