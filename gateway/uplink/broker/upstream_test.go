package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

func TestSuite(t *testing.T) {
	uplinktest.Run(t, func(t *testing.T) uplinktest.Broker { return startServer(t) })
}

func TestSubscriptionsAreChecked(t *testing.T) { uplinktest.RunSubscriptions(t, startServer(t)) }

func TestSuiteInWebSocket(t *testing.T) {
	uplinktest.Run(t, func(t *testing.T) uplinktest.Broker { return startWebSocketServer(t) })
}

func TestMessageOnTheWire(t *testing.T) {
	s := startServer(t)
	session := s.connect()
	r, err := session.Publish(t.Context(), gateway.Message{
		ID: gateway.MessageID{Store: "ab", Lane: "telemetry", Seq: 7}, Kind: gateway.KindTelemetry,
		ContentType: "application/json", Body: []byte(`{"a":1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, r.Done())
	want := event{"fieldpost/g1/telemetry", `{"id":"ab-telemetry-7","store":"ab","lane":"telemetry","seq":7,"kind":"telemetry","body":{"a":1}}`}
	if s.events[0] != want {
		t.Errorf("got %+v", s.events[0])
	}
}

func TestPresence(t *testing.T) {
	s := startServer(t)
	session := s.connect()
	if got := await(t, s.status); got != "online" {
		t.Errorf("after the login: %s", got)
	}
	closeSession(session)
	if got := await(t, s.status); got != "offline" {
		t.Errorf("after the goodbye: %s", got)
	}
	s.connect()
	for got := ""; got != "online"; { // a goodbye that was slow has left its will too
		got = await(t, s.status)
	}
	s.Cut()
	if got := await(t, s.status); got != "offline" {
		t.Errorf("after the loss: %s", got)
	}
}

// If the broker does not answer the goodbye, it is left the will.
func TestPresenceWithoutTimeForAGoodbye(t *testing.T) {
	s := startServer(t)
	session := s.connect()
	await(t, s.status)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = session.Close(ctx)
	if got := await(t, s.status); got != "offline" {
		t.Errorf("after an abrupt end: %s", got)
	}
}

func (s *server) send(body string, retain bool) {
	s.t.Helper()
	if err := s.server.Publish("fieldpost/g1/commands", []byte(body), retain, 1); err != nil {
		s.t.Fatal(err)
	}
}

func TestCommand(t *testing.T) {
	s := startServer(t)
	s.connect()
	s.send(`{"id":"c1","device":"pump","action":"set","args":{"on":true},"expires":"2030-01-01T01:00:00+01:00"}`, false)
	cmd := await(t, s.inbox.got)
	await(t, s.acked)
	if cmd.ID != "c1" || cmd.Device != "pump" || cmd.Action != "set" || cmd.Args["on"] != true || cmd.Origin != gateway.OriginMQTT ||
		!cmd.Expires.Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) || cmd.Received.IsZero() {
		t.Errorf("got %+v", cmd)
	}
	s.send(`{"device":"pump","action":"set"}`, false)
	if r := await(t, s.inbox.refused); !strings.HasPrefix(r, "sha256-") || !strings.Contains(r, "command id") {
		t.Errorf("refused: %s", r)
	}
	await(t, s.acked)
}

func TestCommandsWhileAwayComeLater(t *testing.T) {
	s := startServer(t)
	closeSession(s.connect())
	s.send(`{"id":"c1","device":"pump","action":"set"}`, false)
	s.connect()
	if cmd := await(t, s.inbox.got); cmd.ID != "c1" {
		t.Errorf("got %+v", cmd)
	}
}

func TestRetainedCommandIsIgnored(t *testing.T) {
	s := startServer(t)
	s.send(`{"id":"c1","device":"pump","action":"set"}`, true)
	s.connect()
	await(t, s.acked)
	select {
	case cmd := <-s.inbox.got:
		t.Errorf("a retained command was taken in: %+v", cmd)
	default:
	}
}

func TestRefusalSaysWhatToCheck(t *testing.T) {
	s := startServer(t)
	s.config.Password = "wrong"
	_, err := s.upstream().Connect(t.Context())
	if !errors.Is(err, uplink.ErrRefused) || !strings.Contains(err.Error(), "check username") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("error %v", err)
	}
}

func TestGatewayIDMustFitATopic(t *testing.T) {
	for _, id := range []string{"", "a/b", "a#", "{lane}"} {
		if _, err := New(validConfig(), Parts{GatewayID: id}); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%q: error %v, want ErrInvalid", id, err)
		}
	}
}
