package iothub

import (
	"context"

	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// maxWaiting is how many cloud-to-device messages may wait for the inbox; the
// hub keeps at most 50 for a device.
const maxWaiting = 64

// maxTwinMessages is how many messages about the twin may wait, for the settings
// in one of them to be on disk for example.
const maxTwinMessages = 16

// receive tells apart what comes from the hub, one message at a time and
// without waiting, so that a command that waits for the disk holds up no method.
func (s *session) receive(ctx context.Context, m mqtt.Inbound) {
	switch _, command := cutDevicebound(s.device, m.Topic); {
	case m.Retained:
		s.retained.Do(func() {
			s.parts.Log.Warn("retained messages are ignored, commands must not be retained", "topic", m.Topic)
		})
		m.Ack()
	case command:
		select {
		case s.commands <- m:
		case <-ctx.Done():
		}
	case isMethod(m.Topic):
		s.takeCall(m)
	case isTwin(m.Topic) && s.followsTwin():
		s.takeTwin(ctx, m)
	default:
		s.foreign.Do(func() {
			s.parts.Log.Warn("messages of other topics are ignored, another program may have subscribed for this device", "topic", m.Topic)
		})
		m.Ack()
	}
}

// takeTwin hands on what concerns the twin.
func (s *session) takeTwin(ctx context.Context, in mqtt.Inbound) {
	m, err := parseTwin(in.Topic, in.Payload)
	if err != nil {
		s.parts.Log.Warn("message about the twin ignored", "error", err)
		return
	}
	select {
	case s.twin <- m:
	case <-ctx.Done():
	}
}

// takeCommands hands cloud-to-device messages to the inbox, in their order.
// What is not acknowledged comes again.
func (s *session) takeCommands() {
	for {
		select {
		case m := <-s.commands:
			bag, _ := cutDevicebound(s.device, m.Topic)
			cmd, fault := parseDevicebound(bag, m.Payload, s.parts.Clock.Now())
			if s.intake.Take(s.ctx, cmd, fault, m.Payload) != nil {
				return
			}
			m.Ack()
		case <-s.ctx.Done():
			return
		}
	}
}
