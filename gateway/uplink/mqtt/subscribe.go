package mqtt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// Some brokers (mochi 2.7) take the packet ids of both directions for one
// sequence: they refuse a SUBSCRIBE while a message of theirs with the same id
// is on its way here. The next one has another id, so a refusal is believed
// only after some attempts.
const (
	subscribeAttempts = 5
	subscribePause    = 100 * time.Millisecond
)

var errNotGranted = fmt.Errorf("refused by the server: %w", gateway.ErrDenied)

// Subscribe asks for the messages of a topic filter with QoS 1 and waits for
// the server's consent. A refusal wraps gateway.ErrDenied.
func (c *Conn) Subscribe(ctx context.Context, filter string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.ConnectTimeout,
		fmt.Errorf("no answer within %v: %w", c.opts.ConnectTimeout, gateway.ErrTimeout))
	defer cancel()
	err := c.subscribe(ctx, filter)
	for attempt := 1; attempt < subscribeAttempts && errors.Is(err, errNotGranted); attempt++ {
		select {
		case <-time.After(subscribePause):
			err = c.subscribe(ctx, filter)
		case <-c.done:
			err = c.Err()
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	switch {
	case err == nil:
		return nil
	case c.Err() != nil:
		return fmt.Errorf("subscribe %s: %w: %w", filter, uplink.ErrCutShort, err)
	default:
		return fmt.Errorf("subscribe %s: %w", filter, err)
	}
}

func (c *Conn) subscribe(ctx context.Context, filter string) error {
	token, err := c.requestSubscription(filter)
	if err != nil {
		return err
	}
	select {
	case <-token.Done():
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := token.Error(); err != nil {
		return cmp.Or(c.Err(), err) // which knows why the connection was lost
	}
	// paho reports no error for a refusal; the code for it is 0x80.
	if granted := token.Result()[filter]; granted > 2 {
		return errNotGranted
	}
	return nil
}

func (c *Conn) requestSubscription(filter string) (*paho.SubscribeToken, error) {
	c.publishing.RLock()
	defer c.publishing.RUnlock()
	if err := c.Err(); err != nil {
		return nil, err
	}
	return c.client.Subscribe(filter, 1, nil).(*paho.SubscribeToken), nil
}
