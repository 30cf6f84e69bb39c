package iothub

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestParseTwin(t *testing.T) {
	for topic, want := range map[string]twinMessage{
		"$iothub/twin/res/200/?$rid=1":                                   {status: 200, rid: "1"},
		"$iothub/twin/res/204/?$rid=a-b&$version=6":                      {status: 204, rid: "a-b"},
		"$iothub/twin/PATCH/properties/desired/?$version=8":              {version: 8},
		"$iothub/twin/PATCH/properties/desired/?x=y&$version=9007199254": {version: 9007199254},
		"$iothub/twin/res/204/?$version=6":                               {},
		"$iothub/twin/res/ok/?$rid=1":                                    {},
		"$iothub/twin/res/0/?$rid=1":                                     {},
		"$iothub/twin/res/200":                                           {},
		"$iothub/twin/PATCH/properties/desired/?$version=":               {},
		"$iothub/twin/PATCH/properties/desired/?$version=-1":             {},
		"$iothub/twin/PATCH/properties/desired/?$version=1e3":            {},
		"$iothub/twin/PATCH/properties/reported/?$rid=1":                 {},
	} {
		got, err := parseTwin(topic, nil)
		if !reflect.DeepEqual(got, want) || errors.Is(err, gateway.ErrInvalid) != reflect.DeepEqual(want, twinMessage{}) {
			t.Errorf("%s: %+v, %v", topic, got, err)
		}
	}
}

func TestParseTwinDocument(t *testing.T) {
	got, err := parseTwinDocument([]byte(`{"desired":{"a":{"b":1},"n":null,"$version":12,"$metadata":{}},"reported":{"c":true,"$version":3},"more":1}`))
	want := twinDocument{12, map[string]any{"a": map[string]any{"b": 1.0}}, map[string]any{"c": true}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"desired":1}`, `{"desired":{"$version":"1"}}`, `{"desired":{"$version":1.5}}`,
		`{"desired":{"$version":-1}}`, `{"desired":{"$version":1e300}}`, `{"desired":{"$version":1},"reported":[]}`,
		strings.Repeat(`{"desired":`, 100_000),
	} {
		if _, err := parseTwinDocument([]byte(body)); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%.60s: error %v, want ErrInvalid", body, err)
		}
	}
}

func TestTwinFault(t *testing.T) {
	for body, want := range map[string]string{
		`{"errorCode":400004,"trackingId":"x","message":"Bad.","timestampUtc":"y"}`: "status 400, 400004: Bad.",
		"": `status 400 ""`, " no JSON ": `status 400 "no JSON"`,
	} {
		if got := twinFault(twinMessage{status: 400, body: []byte(body)}); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
}

func FuzzTwin(f *testing.F) {
	f.Add("$iothub/twin/res/200/?$rid=1", []byte(`{"desired":{"a":{"b":null},"$version":12},"reported":{"$version":3}}`))
	f.Add("$iothub/twin/PATCH/properties/desired/?$version=8", []byte(`{"a":{"b":null},"$version":8}`))
	f.Add("$iothub/twin/PATCH/properties/desired/?$version=8", []byte(strings.Repeat(`{"a":`, 5000)))
	f.Add("$iothub/twin/res/429/?$rid=1&$version=2", []byte(`{"errorCode":1,"message":"x"}`))
	f.Fuzz(func(t *testing.T, topic string, body []byte) {
		m, err := parseTwin(topic, body)
		if err != nil {
			return
		}
		if len(twinFault(m)) > 2000 {
			t.Error("a fault that is too long for a log")
		}
		if d, err := parseTwinDocument(body); err == nil && (d.version < 0 || d.desired["$version"] != nil) {
			t.Errorf("%+v", d)
		}
		if patch, err := parseTwinPatch(body); err == nil {
			mergePatch(map[string]any{"a": map[string]any{"b": 1.0}}, patch)
			if err := checkTwin(withoutNulls(patch)); err != nil && !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("error %v", err)
			}
		}
	})
}
