package iothub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// invoke sends a direct method as the hub does.
func (h *hub) invoke(name, rid, payload string) {
	h.t.Helper()
	if err := h.server.Publish("$iothub/methods/POST/"+name+"/?$rid="+rid, []byte(payload), false, 0); err != nil {
		h.t.Fatal(err)
	}
}

// responses waits for n of them; by status and rid.
func (h *hub) responses(n int) map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for range n {
		r := await(h.t, h.told)
		if r.qos != 0 {
			h.t.Errorf("%s with QoS %d", r.topic, r.qos)
		}
		all[strings.TrimPrefix(r.topic, "$iothub/methods/res/")] = r.body
	}
	return all
}

func TestMethodIsAnswered(t *testing.T) {
	h := startHub(t)
	finished := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h.inbox.call = func(_ context.Context, cmd gateway.Command) (gateway.Result, error) {
		return gateway.Result{
			CommandID: "id", Device: cmd.Device, Action: cmd.Action, Status: gateway.StatusDone,
			Values: map[string]any{"flow": 1.5}, Finished: finished,
		}, nil
	}
	h.connect()
	before := time.Now()
	h.invoke("north.pump.set", "7f%20", `{"on":true,"level":2}`)
	cmd := await(t, h.inbox.got)
	if cmd.Device != "north.pump" || cmd.Action != "set" || cmd.Args["on"] != true || cmd.Args["level"] != 2.0 ||
		cmd.Origin != gateway.OriginMethod || cmd.Received.IsZero() || cmd.Expires.Before(before.Add(h.config.MethodTimeout)) {
		t.Errorf("got %+v", cmd)
	}
	want := `{"command":"id","device":"north.pump","action":"set","status":"done","values":{"flow":1.5},"finished":"2026-03-01T12:00:00Z"}`
	if got := h.responses(1); got["200/?$rid=7f%20"] != want {
		t.Errorf("answered %v", got)
	}
	h.invoke("pump.set", "7f%20", "null") // the hub uses its numbers again
	if again := await(t, h.inbox.got); again.ID == cmd.ID || len(again.Args) != 0 {
		t.Errorf("got %+v after %+v", again, cmd)
	}
	h.responses(1)
}

func TestStatusesOfMethods(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("no: %w", err) }
	tests := []struct {
		name, method, payload string
		refused               error // by the inbox
		final                 gateway.Status
		wait                  error
		status                string
		said                  gateway.Status
	}{
		{name: "denied", final: gateway.StatusDenied, status: "403", said: "denied"},
		{name: "expired", final: gateway.StatusExpired, status: "408", said: "expired"},
		{name: "failed", final: gateway.StatusFailed, status: "500", said: "failed"},
		{name: "unknown outcome", final: gateway.StatusUnknownOutcome, status: "503", said: "unknown-outcome"},
		{name: "stopped", wait: wrapped(gateway.ErrUnavailable), status: "503", said: "accepted"},
		{name: "slow", wait: wrapped(context.DeadlineExceeded), status: "202", said: "accepted"},
		{name: "shape", refused: wrapped(gateway.ErrInvalid), status: "400", said: "denied"},
		{name: "unknown", refused: wrapped(gateway.ErrUnknown), status: "404", said: "denied"},
		{name: "full", refused: wrapped(gateway.ErrFull), status: "429", said: "denied"},
		{name: "stopping", refused: wrapped(gateway.ErrUnavailable), status: "503", said: "denied"},
		{name: "broken disk", refused: errors.New("i/o error"), status: "503", said: "denied"},
		{name: "no action", method: "reboot", status: "404", said: "denied"},
		{name: "no object", payload: `[1]`, status: "400", said: "denied"},
		{name: "no JSON", payload: "\xff{", status: "400", said: "denied"},
		{name: "deep", payload: `{"a":{"b":1}}`, status: "400", said: "denied"},
		{name: "too large", payload: `{"a":"` + strings.Repeat("x", 70_000) + `"}`, status: "400", said: "denied"},
	}
	h := startHub(t)
	h.connect()
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.inbox.call = func(_ context.Context, cmd gateway.Command) (gateway.Result, error) {
				return gateway.Result{CommandID: cmd.ID, Status: tt.final}, tt.wait
			}
			if tt.refused != nil {
				h.inbox.fail(tt.refused)
			}
			if tt.method == "" {
				tt.method = "pump.set"
			}
			h.invoke(tt.method, fmt.Sprint(i), tt.payload)
			topic := fmt.Sprintf("%s/?$rid=%d", tt.status, i)
			for got, body := range h.responses(1) {
				var a answer
				if err := json.Unmarshal([]byte(body), &a); err != nil || got != topic || a.Status != tt.said {
					t.Errorf("answered %s %s, want %s with %s", got, body, topic, tt.said)
				}
				if recorded := tt.refused == nil && (tt.final != "" || tt.wait != nil); recorded != (a.Command != "") {
					t.Errorf("answered %s", body)
				}
			}
		})
	}
}

// A method whose caller will not wait for longer is answered, and goes on.
func TestMethodTimeout(t *testing.T) {
	h := startHub(t)
	h.config.MethodTimeout = time.Second
	h.inbox.call = func(ctx context.Context, _ gateway.Command) (gateway.Result, error) {
		<-ctx.Done()
		return gateway.Result{}, ctx.Err()
	}
	h.connect()
	h.invoke("pump.set", "1", "")
	cmd := await(t, h.inbox.got)
	if body := h.responses(1)["202/?$rid=1"]; !strings.Contains(body, cmd.ID) {
		t.Errorf("answered %q, want 202 with %s", body, cmd.ID)
	}
}

// The end of a session leaves nobody without an answer.
func TestMethodIsAnsweredBeforeTheGoodbye(t *testing.T) {
	h := startHub(t)
	h.inbox.call = func(ctx context.Context, _ gateway.Command) (gateway.Result, error) {
		<-ctx.Done()
		return gateway.Result{}, ctx.Err()
	}
	s := h.connect()
	h.invoke("pump.set", "1", "")
	await(t, h.inbox.got)
	h.close(s)
	if got := h.responses(1); got["202/?$rid=1"] == "" {
		t.Errorf("answered %v", got)
	}
}

// A command that waits for the disk holds up no method, and too many methods
// are told so.
func TestMethodsAreNotHeldUp(t *testing.T) {
	h := startHub(t)
	for range 10 {
		h.inbox.fail(gateway.ErrFull)
	}
	release := make(chan struct{})
	h.inbox.call = func(context.Context, gateway.Command) (gateway.Result, error) {
		<-release
		return gateway.Result{Status: gateway.StatusDone}, nil
	}
	h.connect()
	h.send("%24.mid=m1", `{"device":"pump","action":"set"}`, false)
	await(t, h.inbox.failed) // and waits a second
	for len(h.inbox.failures) > 0 {
		<-h.inbox.failures
	}
	for i := range maxCalls {
		h.invoke("pump.set", fmt.Sprint(i), "")
		await(t, h.inbox.got)
	}
	h.invoke("pump.set", "last", "")
	if got := h.responses(1); got["429/?$rid=last"] == "" {
		t.Errorf("answered %v", got)
	}
	close(release)
	if got := h.responses(maxCalls); len(got) != maxCalls {
		t.Errorf("answered %v", got)
	}
}

// A method on a lost connection cannot be answered; that keeps nobody.
func TestLostConnectionOfAMethod(t *testing.T) {
	h := startHub(t)
	release := make(chan struct{})
	h.inbox.call = func(context.Context, gateway.Command) (gateway.Result, error) {
		<-release
		return gateway.Result{Status: gateway.StatusDone}, nil
	}
	s := h.connect()
	h.invoke("pump.set", "1", "")
	await(t, h.inbox.got)
	h.Cut()
	await(t, s.Done())
	close(release)
	h.close(s)
	if n := len(h.told); n != 0 {
		t.Errorf("%d answers on a lost connection", n)
	}
}

// What comes in while a session ends begins nothing that nobody would wait for.
func TestMethodAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := false
		s := unopened(t, func(context.Context, gateway.Command) (gateway.Result, error) {
			called = true
			return gateway.Result{}, nil
		})
		s.endWork()
		s.receive(t.Context(), mqtt.Inbound{Topic: "$iothub/methods/POST/pump.set/?$rid=1"})
		synctest.Wait()
		if called {
			t.Error("carried out")
		}
	})
}

// A hub that sends methods faster than the line takes answers fills no memory.
func TestFloodOfMethods(t *testing.T) {
	s := unopened(t, func(ctx context.Context, _ gateway.Command) (gateway.Result, error) {
		<-ctx.Done()
		return gateway.Result{}, ctx.Err()
	})
	before := runtime.NumGoroutine()
	for i := range 1000 {
		s.receive(t.Context(), mqtt.Inbound{Topic: fmt.Sprintf("$iothub/methods/POST/pump.set/?$rid=%d", i)})
	}
	if more := runtime.NumGoroutine() - before; more > 2*maxCalls {
		t.Errorf("%d goroutines", more)
	}
	s.endWork()
}

// unopened is a session that has no connection yet.
func unopened(t *testing.T, call func(context.Context, gateway.Command) (gateway.Result, error)) *session {
	t.Helper()
	in := newInbox()
	in.call = call
	c := Config{
		SignInConfig: SignInConfig{ConnectionString: "HostName=localhost;DeviceId=d1;SharedAccessKey=" + testKey},
		KeepAlive:    time.Minute, TokenTTL: time.Hour, InFlight: 8, Tier: tierStandard, MethodTimeout: time.Minute,
	}
	u, err := New(c, Parts{Clock: testClock{}, Inbox: in})
	if err != nil {
		t.Fatal(err)
	}
	return newSession(u, "d1")
}

func TestBasicTierSubscribesToNothing(t *testing.T) {
	h := startHub(t)
	h.config.Tier = tierBasic
	h.connect()
	for _, cl := range h.server.Clients.GetAll() {
		if n := cl.State.Subscriptions.Len(); n != 0 && !cl.Net.Inline {
			t.Errorf("%d subscriptions", n)
		}
	}
}

func TestParseMethod(t *testing.T) {
	for topic, want := range map[string]method{
		"$iothub/methods/POST/pump.set/?$rid=1":           {"pump.set", "1"},
		"$iothub/methods/POST/a/?x=y&$rid=%2B=&z":         {"a", "%2B="},
		"$iothub/methods/POST//?$rid=1":                   {"", "1"},
		"$iothub/methods/POST/a/?$rid=":                   {},
		"$iothub/methods/POST/a/?rid=1":                   {},
		"$iothub/methods/POST/a?$rid=1":                   {},
		"$iothub/methods/POST/":                           {},
		"$iothub/methods/GET/a/?$rid=1":                   {},
		"devices/d1/messages/devicebound/%24.mid=1/?$rid": {},
	} {
		got, err := parseMethod(topic)
		if got != want || (err == nil) != (want.rid != "") {
			t.Errorf("%s: %+v, %v", topic, got, err)
		}
	}
}

func FuzzMethod(f *testing.F) {
	f.Add("$iothub/methods/POST/pump.set/?$rid=1", []byte(`{"on":true}`))
	f.Add("$iothub/methods/POST/a.b.c/?$rid=x%2F&y=z", []byte(`null`))
	f.Add("$iothub/methods/POST//?$rid=\x00", []byte(" "))
	f.Add("$iothub/methods/POST/./?$rid=1", []byte(strings.Repeat(`{"a":`, 1000)))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		m, err := parseMethod(topic)
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		if !strings.HasSuffix(m.responseTopic(200), "200/?$rid="+m.rid) || !strings.Contains(topic, "$rid="+m.rid) {
			t.Errorf("%q is answered on %q", topic, m.responseTopic(200))
		}
		cmd, err := m.command(payload)
		if err != nil && !errors.Is(err, gateway.ErrInvalid) && !errors.Is(err, gateway.ErrUnknown) {
			t.Errorf("error %v", err)
		}
		if err == nil && string(cmd.Device)+"."+cmd.Action != m.name {
			t.Errorf("%q names %+v", m.name, cmd)
		}
	})
}
