package broker

import (
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

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

func TestCommandFaults(t *testing.T) {
	for body, want := range map[string]string{
		`{"device":"d","action":"a"}`:                               "command id",
		`{"id":"","device":"d","action":"a"}`:                       "command id",
		`{"id":"1","device":"d","action":"a","expires":"tomorrow"}`: "want RFC 3339",
		`{"id":"1","device":"d","action":"a","origin":"local"}`:     "unknown key",
	} {
		if _, err := parseCommand([]byte(body), time.Now()); !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", body, err, want)
		}
	}
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte(`{"id":"1","device":"d","action":"a","args":{"x":1,"y":"z"},"expires":"2026-01-31T08:00:00Z"}`))
	f.Add([]byte(`{"id":"1","id":"2"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		cmd, err := parseCommand(body, time.Now())
		if cmd.ID == "" || cmd.Origin != gateway.OriginMQTT {
			t.Errorf("no id or origin: %+v", cmd)
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
