package iothub

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

func deviceboundPrefix(device string) string {
	return "devices/" + device + "/messages/devicebound/"
}

// cutDevicebound returns the property bag of a cloud-to-device topic. Hubs
// write devicebound and deviceBound.
func cutDevicebound(device, topic string) (bag string, ok bool) {
	prefix := deviceboundPrefix(device)
	if len(topic) < len(prefix) || !strings.EqualFold(topic[:len(prefix)], prefix) {
		return "", false
	}
	return topic[len(prefix):], true
}

// parseDevicebound makes a command of a cloud-to-device message. Beside an
// error, too, the command has its id, origin and time of arrival.
func parseDevicebound(bag string, body []byte, received time.Time) (gateway.Command, error) {
	cmd := gateway.Command{
		ID:     uplink.HashID([]byte(bag), body), // a redelivery has the same
		Origin: gateway.OriginC2D, Received: received,
	}
	properties, err := parseBag(bag)
	if err != nil {
		return cmd, err
	}
	if id := properties["$.mid"]; id != "" {
		if err := uplink.CheckCommandID(id); err != nil {
			return cmd, err
		}
		cmd.ID = id
	}
	if cmd.Expires, err = parseExpiry(properties["$.exp"]); err != nil {
		return cmd, err
	}
	content, err := uplink.ParseCommandBody(body)
	if err != nil {
		return cmd, err
	}
	cmd.Device, cmd.Action, cmd.Args = gateway.DeviceID(content.Device), content.Action, content.Args
	return cmd, nil
}

// parseExpiry reads $.exp, such as 2020-07-25T14:14:25.1720000Z; "0" and
// nothing mean never.
func parseExpiry(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err == nil && t.IsZero() {
		err = errors.New("the year 1 is no expiry")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("$.exp %.40q: %w: %w", s, err, gateway.ErrInvalid)
	}
	return t.UTC(), nil
}
