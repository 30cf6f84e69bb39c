package iothub

import (
	"context"

	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

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
		s.arrivals.Pass(m.Ack)
	case command:
		s.takeCommand(m)
	case isMethod(m.Topic):
		s.takeCall(m)
	case isTwin(m.Topic) && s.followsTwin():
		s.takeTwin(ctx, m)
	default:
		s.foreign.Do(func() {
			s.parts.Log.Warn("messages of other topics are ignored, another program may have subscribed for this device", "topic", m.Topic)
		})
		s.arrivals.Pass(m.Ack)
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

// takeCommand hands a cloud-to-device message to the inbox. It waits only for a
// hub that sends more than IoT Hub keeps. What is not acknowledged comes again.
func (s *session) takeCommand(m mqtt.Inbound) {
	bag, _ := cutDevicebound(s.device, m.Topic)
	cmd, fault := parseDevicebound(bag, m.Payload, s.parts.Clock.Now())
	s.arrivals.Take(uplink.Arrival{Command: cmd, Fault: fault, Raw: m.Payload, Ack: m.Ack})
}
