package broker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
)

// request publishes on a topic below that of commands.
func (s *server) request(below, body string, retain bool, qos byte) {
	s.t.Helper()
	if err := s.server.Publish("fieldpost/g1/commands"+below, []byte(body), retain, qos); err != nil {
		s.t.Fatal(err)
	}
}

func TestRequestByTopic(t *testing.T) {
	s := startServer(t)
	s.connect()
	for _, qos := range []byte{0, 1} {
		s.request("/pump/set/c1", `{"on":true}`, false, qos)
		cmd := await(t, s.inbox.got)
		if cmd.ID != "c1" || cmd.Device != "pump" || cmd.Action != "set" || cmd.Args["on"] != true || cmd.ReplyTo != "fieldpost/g1/responses/c1" {
			t.Errorf("QoS %d: %+v", qos, cmd)
		}
	}
	await(t, s.acked)
	s.request("/pump/set/c1/now", `{}`, false, 1)
	if r := await(t, s.inbox.refused); !strings.Contains(r, `topic "fieldpost/g1/commands/pump/set/c1/now": want DEVICE/ACTION`) {
		t.Errorf("refused: %s", r)
	}
	await(t, s.acked)
}

// TestRetainedRequestsAreToldOnce: they are ignored, and the log says so once however
// many there are and however often the gateway connects.
func TestRetainedRequestsAreToldOnce(t *testing.T) {
	s := startServer(t)
	for _, below := range []string{"", "/pump/set", "/pump/set/c1"} {
		s.request(below, `{"id":"c1","device":"pump","action":"set"}`, true, 1)
	}
	var log bytes.Buffer
	u, err := New(s.config, Parts{GatewayID: "g1", Clock: clock.NewSystem(time.Time{}), Inbox: s.inbox, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		session, err := u.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			await(t, s.acked)
		}
		closeSession(session)
	}
	if n := strings.Count(log.String(), "retained commands are ignored"); n != 1 || len(s.inbox.got) > 0 || len(s.inbox.refused) > 0 {
		t.Errorf("told %d times, taken in %d\n%s", n, len(s.inbox.got), log.String())
	}
}

// TestResponses: the result of a command goes to its sender before its envelope, and
// nowhere else than below the topic of responses.
func TestResponses(t *testing.T) {
	s := startServer(t)
	session := s.connect()
	publish := func(kind gateway.Kind, body string) []event {
		s.set(func() { s.events = nil })
		r, err := session.Publish(t.Context(), gateway.Message{
			ID: gateway.MessageID{Store: "ab", Lane: "results", Seq: 7}, Kind: kind, ContentType: "application/json", Body: []byte(body),
		})
		if err != nil {
			t.Fatal(err)
		}
		await(t, r.Done())
		s.mu.Lock()
		defer s.mu.Unlock()
		return append([]event(nil), s.events...)
	}
	result := `{"command":"c1","status":"done","reply_to":"fieldpost/g1/responses/c1"}`
	if got := publish(gateway.KindResult, result); len(got) != 2 || got[0] != (event{"fieldpost/g1/responses/c1", result}) || got[1].topic != "fieldpost/g1/results" {
		t.Errorf("published %+v", got)
	}
	for kind, body := range map[gateway.Kind]string{
		gateway.KindResult:    `{"command":"c1","reply_to":"fieldpost/g1/status"}`,
		gateway.KindTelemetry: result,
		gateway.KindAlert:     `{"reply_to":7}`,
	} {
		if got := publish(kind, body); len(got) != 1 {
			t.Errorf("%s: published %+v", kind, got)
		}
	}
}
