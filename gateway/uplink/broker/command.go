package broker

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// command makes a command of a message. Beside an error, too, the command has an id,
// its origin, the time of arrival and where the result goes.
func (t topics) command(m mqtt.Inbound, received time.Time) (gateway.Command, error) {
	var cmd gateway.Command
	var err error
	if below, ok := strings.CutPrefix(m.Topic, t.commands+"/"); ok {
		if cmd, err = addressed(below, m); err != nil {
			err = fmt.Errorf("topic %.200q: %w", m.Topic, err)
		}
	} else {
		cmd, err = enclosed(m.Payload)
	}
	cmd.Origin, cmd.Received = gateway.OriginMQTT, received
	switch {
	case cmd.ReplyTo == "":
	case t.mayReply(cmd.ReplyTo):
		return cmd, err
	case err == nil:
		err = fmt.Errorf("reply_to %.80q: want a topic that begins with %s, of at most %d levels, without wildcards and control characters: %w",
			cmd.ReplyTo, t.beforeID(), maxReplyLevels, gateway.ErrInvalid)
	}
	cmd.ReplyTo = t.response(cmd.ID)
	return cmd, err
}

// enclosed reads a command that is all in the payload.
func enclosed(body []byte) (gateway.Command, error) {
	cmd := gateway.Command{ID: uplink.HashID(body)}
	content, err := uplink.ParseCommandBody(body, "id", "expires", "reply_to")
	if err != nil {
		return cmd, err
	}
	if err := uplink.CheckCommandID(content.ID); err != nil {
		return cmd, err
	}
	cmd.ID, cmd.ReplyTo = content.ID, content.ReplyTo
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

// addressed reads a command whose topic says what it is for, {device}/{action} or
// {device}/{action}/{id}; the payload has the arguments. One without an id gets one of
// its own, as it may be meant to come twice; but then a second delivery of it cannot
// be told from a second command.
func addressed(below string, m mqtt.Inbound) (gateway.Command, error) {
	cmd := gateway.Command{ID: uplink.HashID([]byte(m.Topic), m.Payload)}
	levels := strings.Split(below, "/")
	for i, level := range levels {
		plain, err := url.PathUnescape(level)
		if err != nil || plain == "" || len(levels) < 2 || len(levels) > 3 {
			return cmd, fmt.Errorf("want DEVICE/ACTION or DEVICE/ACTION/ID below the command topic, with %%2F for a slash: %w", gateway.ErrInvalid)
		}
		levels[i] = plain
	}
	if len(levels) == 3 {
		if err := uplink.CheckCommandID(levels[2]); err != nil {
			return cmd, err
		}
		cmd.ID = levels[2]
	} else if m.Duplicate {
		return cmd, fmt.Errorf("it is delivered again and has no id to tell whether it was carried out; give an id as the last level: %w", gateway.ErrInvalid)
	} else {
		cmd.ID = "mqtt-" + rand.Text()
	}
	cmd.Device, cmd.Action = gateway.DeviceID(levels[0]), levels[1]
	var err error
	cmd.Args, err = uplink.ParseArgs(m.Payload)
	return cmd, err
}
