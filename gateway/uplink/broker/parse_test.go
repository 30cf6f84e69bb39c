package broker

import (
	"encoding/json"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// unset is the clock of a board that does not know the time.
type unset struct{}

func (unset) Now() time.Time { return gateway.Undated(time.Minute) }
func (unset) Trusted() bool  { return false }

// TestCertificatesAreJudgedByTheClockOfTheBoard, while there is nothing better.
func TestCertificatesAreJudgedByTheClockOfTheBoard(t *testing.T) {
	if got := likely(unset{})(); time.Since(got).Abs() > time.Hour {
		t.Errorf("judged by %v", got)
	}
}

func TestValidate(t *testing.T) {
	if err := validConfig().Validate(); err != nil {
		t.Errorf("valid: %v", err)
	}
	for want, change := range map[string]func(*Config){
		"url: want mqtt://":                   func(c *Config) { c.URL = "" },
		`url: the scheme "http"`:              func(c *Config) { c.URL = "http://h" },
		"url: holds a user":                   func(c *Config) { c.URL = "mqtt://u:p@h" },
		"url: holds more":                     func(c *Config) { c.URL = "mqtt://h/x" },
		"url: the port":                       func(c *Config) { c.URL = "mqtt://h:0" },
		"url: want mqtt://host":               func(c *Config) { c.URL = "ws://]0" },
		"url: holds a fragment":               func(c *Config) { c.URL = "ws://h/x#y" },
		"proxy: want http://host":             func(c *Config) { c.Proxy = "h:3128" },
		"ca_file: is for mqtts":               func(c *Config) { c.CAFile = "/ca.pem" },
		"password: needs a username":          func(c *Config) { c.Username = "" },
		"topic: {device} is unknown":          func(c *Config) { c.Topic = "a/{device}" },
		"topic: \"a/#\"":                      func(c *Config) { c.Topic = "a/#" },
		"topic: topics that begin with $":     func(c *Config) { c.Topic = "$SYS/x" },
		"command_topic: {lane} is unknown":    func(c *Config) { c.CommandTopic = "a/{lane}" },
		"command_topic: must differ":          func(c *Config) { c.CommandTopic = c.StatusTopic },
		"command_topic: must differ from":     func(c *Config) { c.CommandTopic = "fieldpost/{gateway}" },
		"response_topic: {lane} is unknown":   func(c *Config) { c.ResponseTopic = "a/{lane}" },
		"response_topic: want something":      func(c *Config) { c.ResponseTopic = "{id}" },
		"response_topic: \"a\\nb\"":           func(c *Config) { c.ResponseTopic = "a\nb" },
		"response_topic: what stands before":  func(c *Config) { c.ResponseTopic = "fieldpost/{gateway}/{id}" },
		"response_topic: what stands":         func(c *Config) { c.ResponseTopic = "fieldpost/{gateway}/stat{id}" },
		"status_topic: \"\"":                  func(c *Config) { c.StatusTopic = "" },
		"keep_alive: 1s is not allowed":       func(c *Config) { c.KeepAlive = time.Second },
		"in_flight: 0 is not allowed":         func(c *Config) { c.InFlight = 0 },
		"max_message_bytes: 5 is not allowed": func(c *Config) { c.MaxMessageBytes = 5 },
	} {
		c := validConfig()
		change(&c)
		err := c.Validate()
		var fault *gateway.FieldError
		if !errors.As(err, &fault) || !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestParseURL(t *testing.T) {
	for s, want := range map[string]endpoint{
		"mqtt://h":          {"h:1883", "h", false, ""},
		"mqtts://h":         {"h:8883", "h", true, ""},
		"mqtts://h:1/":      {"h:1", "h", true, ""},
		"mqtt://[fe80::1]":  {"[fe80::1]:1883", "fe80::1", false, ""},
		"mqtt://10.0.0.1:9": {"10.0.0.1:9", "10.0.0.1", false, ""},
		"ws://h/mqtt":       {"h:80", "h", false, "ws://h/mqtt"},
		"wss://h:1/a?b=c":   {"h:1", "h", true, "wss://h:1/a?b=c"},
	} {
		if got, err := parseURL(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("mqtts://broker.example:8883")
	f.Add("wss://[::1]:443/mqtt?a=b")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseURL(s)
		if err != nil {
			return
		}
		host, port, err := net.SplitHostPort(e.dial)
		if err != nil || host == "" || port == "" || e.serverName != host {
			t.Errorf("%q: accepted as %+v", s, e)
		}
		if e.webSocket != "" && !strings.HasPrefix(e.webSocket, "ws") {
			t.Errorf("%q: the WebSocket is at %q", s, e.webSocket)
		}
	})
}

func TestEventTopic(t *testing.T) {
	topics := topics{events: "x/{lane}/{kind}"}
	if got := topics.event(gateway.Message{ID: gateway.MessageID{Lane: "gaps"}, Kind: "gap"}); got != "x/gaps/gap" {
		t.Errorf("got %s", got)
	}
}

func TestEnvelope(t *testing.T) {
	id := gateway.MessageID{Store: "ab", Lane: "results", Seq: 1 << 60}
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	for _, tc := range []struct {
		name string
		m    gateway.Message
		want string
	}{
		{
			"JSON",
			gateway.Message{ID: id, Kind: "result", Created: created, CorrelationID: "c<1>", ContentType: "application/json", Body: []byte(`{"a": "<&>"}`)},
			`{"id":"ab-results-1152921504606846976","store":"ab","lane":"results","seq":1152921504606846976,"kind":"result",` +
				`"created":"2026-03-01T11:00:00Z","correlation":"c<1>","body":{"a":"<&>"}}`,
		},
		{
			"CBOR",
			gateway.Message{ID: id, Kind: "telemetry", ContentType: "application/senml+cbor", Body: []byte{0x80, 0xff}},
			`{"id":"ab-results-1152921504606846976","store":"ab","lane":"results","seq":1152921504606846976,"kind":"telemetry",` +
				`"content_type":"application/senml+cbor","body_base64":"gP8="}`,
		},
		{
			"JSON that is none",
			gateway.Message{ID: id, Kind: "telemetry", ContentType: "application/json", Body: []byte(`{`)},
			`{"id":"ab-results-1152921504606846976","store":"ab","lane":"results","seq":1152921504606846976,"kind":"telemetry",` +
				`"content_type":"application/json","body_base64":"ew=="}`,
		},
	} {
		got, err := encode(tc.m)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", tc.name, got, err, tc.want)
		}
	}
	if _, err := encode(gateway.Message{ID: id, Created: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("the year 12000: error %v, want ErrInvalid", err)
	}
}

func testTopics() topics {
	t, _ := validConfig().topics("g1")
	return t
}

// on is a message on the topic of commands, or below it.
func on(below, body string) mqtt.Inbound {
	return mqtt.Inbound{Topic: "fieldpost/g1/commands" + below, Payload: []byte(body)}
}

func TestCommandForms(t *testing.T) {
	for _, tt := range []struct {
		in   mqtt.Inbound
		want gateway.Command
	}{
		{
			on("", `{"id":"1","device":"d","action":"a","reply_to":"fieldpost/g1/responses/me/7"}`),
			gateway.Command{ID: "1", Device: "d", Action: "a", ReplyTo: "fieldpost/g1/responses/me/7"},
		},
		{
			on("", `{"id":"a/b#%","device":"d","action":"a","args":{"x":1}}`),
			gateway.Command{ID: "a/b#%", Device: "d", Action: "a", Args: map[string]any{"x": 1.0}, ReplyTo: "fieldpost/g1/responses/a%2Fb%23%25"},
		},
		{
			on("/d/a/7", `{"x":true}`),
			gateway.Command{ID: "7", Device: "d", Action: "a", Args: map[string]any{"x": true}, ReplyTo: "fieldpost/g1/responses/7"},
		},
		{on("/d.1/a%2Fb/c%2F7", ""), gateway.Command{ID: "c/7", Device: "d.1", Action: "a/b", ReplyTo: "fieldpost/g1/responses/c%2F7"}},
	} {
		got, err := testTopics().command(tt.in, time.Now())
		got.Received, tt.want.Origin = time.Time{}, gateway.OriginMQTT
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", tt.in.Topic, err, got, tt.want)
		}
	}
	one, err1 := testTopics().command(on("/d/a", "{}"), time.Now())
	two, err2 := testTopics().command(on("/d/a", "{}"), time.Now())
	if err1 != nil || err2 != nil || one.ID == two.ID || one.ReplyTo != "fieldpost/g1/responses/"+one.ID {
		t.Errorf("without ids: %+v %v, %+v %v", one, err1, two, err2)
	}
}

func TestCommandFaults(t *testing.T) {
	again := on("/d/a", "{}")
	again.Duplicate = true
	for want, in := range map[string]mqtt.Inbound{
		"command id \"\"":   on("", `{"device":"d","action":"a"}`),
		"command id":        on("", `{"id":"","device":"d","action":"a"}`),
		"want RFC 3339":     on("", `{"id":"1","device":"d","action":"a","expires":"tomorrow"}`),
		"unknown key":       on("", `{"id":"1","device":"d","action":"a","origin":"local"}`),
		"not a JSON object": on("", "on"),
		"want a topic that begins with fieldpost/g1/responses/": on("", `{"id":"1","device":"d","action":"a","reply_to":"fieldpost/g1/status"}`),
		"begins with fieldpost/g1/responses/":                   on("", `{"id":"1","device":"d","action":"a","reply_to":"fieldpost/g1/responses/#"}`),
		"reply_to \"fieldpost/g1/responses/\\a\"":               on("", `{"id":"1","device":"d","action":"a","reply_to":"fieldpost/g1/responses/\u0007"}`),
		"at most 32 levels":                                     on("", `{"id":"1","device":"d","action":"a","reply_to":"fieldpost/g1/responses/`+strings.Repeat("/", 200)+`"}`),
		"want DEVICE/ACTION or":                                 on("/d", "{}"),
		"below the command topic":                               on("/d/a/1/2", "{}"),
		"with %2F for a slash":                                  on("/d//1", "{}"),
		"DEVICE/ACTION/ID":                                      on("/d/%zz", "{}"),
		"/d/a/1\": args is not a JSON object":                   on("/d/a/1", "on"),
		"command of 65537 bytes":                                on("/d/a/1", strings.Repeat(" ", 64<<10)+"x"),
		"it is delivered again and has no id":                   again,
		"want 1 to 128 bytes":                                   on("/d/a/"+strings.Repeat("x", 129), "{}"),
	} {
		cmd, err := testTopics().command(in, time.Now())
		if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", in.Topic, err, want)
		}
		if cmd.ID == "" || cmd.ReplyTo != testTopics().response(cmd.ID) {
			t.Errorf("%s: the refusal has the id %q and goes to %q", in.Topic, cmd.ID, cmd.ReplyTo)
		}
	}
}

func FuzzCommand(f *testing.F) {
	f.Add("", []byte(`{"id":"1","device":"d","action":"a","args":{"x":1,"y":"z"},"expires":"2026-01-31T08:00:00Z","reply_to":"fieldpost/g1/responses/x"}`))
	f.Add("", []byte(`{"id":"1","id":"2"`))
	f.Add("/d/a/%31", []byte(`{"x":1}`))
	f.Add("", []byte(`{"id":"\uffff","device":"d","action":"a"}`))
	f.Add("/d/a", []byte(nil))
	f.Fuzz(func(t *testing.T, below string, body []byte) {
		cmd, err := testTopics().command(mqtt.Inbound{Topic: "fieldpost/g1/commands" + below, Payload: body}, time.Now())
		if cmd.ID == "" || cmd.Origin != gateway.OriginMQTT {
			t.Errorf("no id or origin: %+v", cmd)
		}
		if !testTopics().mayReply(cmd.ReplyTo) {
			t.Errorf("the result would go to %q", cmd.ReplyTo)
		}
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		if cmd.Device == "" || cmd.Action == "" || uplink.CheckCommandID(cmd.ID) != nil {
			t.Errorf("accepted: %+v", cmd)
		}
		if _, err := json.Marshal(cmd.Args); err != nil {
			t.Errorf("args that do not travel: %v", err)
		}
	})
}
