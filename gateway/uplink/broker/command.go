package broker

import (
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// parseCommand makes a command of a message. Beside an error, too, the command
// has an id, its origin and the time of arrival.
func parseCommand(body []byte, received time.Time) (gateway.Command, error) {
	cmd := gateway.Command{ID: uplink.HashID(body), Origin: gateway.OriginMQTT, Received: received}
	content, err := uplink.ParseCommandBody(body, "id", "expires")
	if err != nil {
		return cmd, err
	}
	if err := uplink.CheckCommandID(content.ID); err != nil {
		return cmd, err
	}
	cmd.ID = content.ID
	if content.Expires != "" {
		t, err := time.Parse(time.RFC3339, content.Expires)
		if err != nil || t.IsZero() {
			return cmd, fmt.Errorf("expires %.40q: want RFC 3339, such as 2026-01-31T08:00:00Z: %w", content.Expires, gateway.ErrInvalid)
		}
		cmd.Expires = t.UTC()
	}
	cmd.Device, cmd.Action, cmd.Args = gateway.DeviceID(content.Device), content.Action, content.Args
	return cmd, nil
}
