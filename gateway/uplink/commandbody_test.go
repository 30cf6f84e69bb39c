package uplink_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

func TestParseCommandBody(t *testing.T) {
	c, err := uplink.ParseCommandBody([]byte(` {"device":"pump","action":"set","args":{"on":true,"level":1.5e1,"mode":"eco"}} `))
	want := uplink.CommandBody{Device: "pump", Action: "set", Args: map[string]any{"on": true, "level": 15.0, "mode": "eco"}}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = uplink.ParseCommandBody([]byte(`{"id":"1","expires":"x","device":"d","action":"a"}`), "id", "expires")
	if err != nil || c.ID != "1" || c.Expires != "x" {
		t.Errorf("with id and expires: %+v, %v", c, err)
	}
}

func TestParseArgs(t *testing.T) {
	for body, want := range map[string]map[string]any{
		"": nil, " \n": nil, " null ": nil, `{}`: {}, `{"on":true,"level":1.5,"mode":"eco"}`: {"on": true, "level": 1.5, "mode": "eco"},
	} {
		if got, err := uplink.ParseArgs([]byte(body)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
	for _, body := range []string{`[]`, `1`, `"x"`, `{"a":null}`, `{"a":[]}`, `{"a":1}x`, `{"a":1,"a":2}`, "\xff", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`} {
		if _, err := uplink.ParseArgs([]byte(body)); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%.40s: error %v, want ErrInvalid", body, err)
		}
	}
}

func TestParseCommandBodyIsStrict(t *testing.T) {
	for body, want := range map[string]string{
		``:                              "not a JSON object",
		`[]`:                            "not a JSON object",
		`null`:                          "not a JSON object",
		`{"device":"d"}`:                `needs "device" and "action"`,
		`{"device":"","action":"a"}`:    `needs "device" and "action"`,
		`{"Device":"d","action":"a"}`:   `unknown key "Device"`,
		`{"device":"d","action":"a"`:    "malformed JSON",
		`{"device":"d","action":"a",}`:  "malformed JSON",
		`{"device":"d","action":"a"}x`:  "behind the JSON object",
		`{"device":"d","action":"a"}{}`: "behind the JSON object",
		`{"device":"d","device":"e","action":"a"}`:            `"device" twice`,
		`{"device":1,"action":"a"}`:                           `"device" must be a string`,
		`{"device":"d","action":"a","id":"x"}`:                `unknown key "id"`,
		`{"device":"d","action":"a","args":null}`:             "args is not a JSON object",
		`{"device":"d","action":"a","args":{"x":null}}`:       "only true, false, numbers and strings",
		`{"device":"d","action":"a","args":{"x":[1]}}`:        "only true, false, numbers and strings",
		`{"device":"d","action":"a","args":{"x":{"y":1}}}`:    "only true, false, numbers and strings",
		`{"device":"d","action":"a","args":{"x":1,"x":2}}`:    `"x" twice`,
		`{"device":"d","action":"a","args":{"x":1e999}}`:      "malformed JSON",
		"{\"device\":\"d\xff\",\"action\":\"a\"}":             "not UTF-8",
		`{"device":"` + strings.Repeat("d", 64<<10) + `"}`:    "at most 65536 are allowed",
		`{"device":"d","action":"a","args":{},"expires":"x"}`: `unknown key "expires"`,
	} {
		_, err := uplink.ParseCommandBody([]byte(body))
		if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want one with %q", body, err, want)
		}
	}
}

func TestCheckCommandID(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "Commands:c2d-Fr7": true, "grün": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a\nb": false, "\xff": false,
	} {
		if err := uplink.CheckCommandID(id); (err == nil) != ok {
			t.Errorf("%.20q: %v", id, err)
		}
	}
}

func TestHashIDKeepsPartsApart(t *testing.T) {
	if uplink.HashID([]byte("ab"), []byte("c")) == uplink.HashID([]byte("a"), []byte("bc")) {
		t.Error("different messages have the same id")
	}
}
