package service

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// fromJSON is what a hub gives for a text.
func fromJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	object := map[string]any{}
	unmarshal(t, text, &object)
	return object
}

var greenhouse = scope{"air": true, "north.soil": true, "relay": false}

func TestParseSettings(t *testing.T) {
	got, faults := greenhouse.parse(fromJSON(t, `{"devices":{"air":{"every":"1m30s"},"north%2Esoil":{"enabled":false,"every":"100ms"}}}`), time.Now())
	if faults != nil {
		t.Fatal(faults)
	}
	for id, want := range map[gateway.DeviceID]pipeline.Pace{
		"air": {Every: 90 * time.Second, Enabled: true}, "north.soil": {Every: 100 * time.Millisecond}, "relay": {Every: time.Hour, Enabled: true},
	} {
		if pace := got.devices[id].over(time.Hour); pace != want {
			t.Errorf("%s: %+v, want %+v", id, pace, want)
		}
	}
	for _, none := range []string{`{}`, `{"devices":{}}`} {
		if got, faults := greenhouse.parse(fromJSON(t, none), time.Now()); faults != nil || len(got.devices) != 0 || got.ca != nil {
			t.Errorf("%s: %v, %v", none, got, faults)
		}
	}
}

func TestSettingsFaultsNameThePlace(t *testing.T) {
	for text, wants := range map[string][]string{
		`{"device":{}}`:                                 {"settings.device: unknown; want ca, devices"},
		`{"devices":[]}`:                                {"settings.devices: want an object of devices"},
		`{"devices":{"door":{}}}`:                       {"settings.devices.door: there is no such device; polled ones: air, north.soil"},
		`{"devices":{"relay":{"every":"1m"}}}`:          {"settings.devices.relay: this device is not polled"},
		`{"devices":{"air":1}}`:                         {"settings.devices.air: want an object"},
		`{"devices":{"air":{"evry":"1m"}}}`:             {"settings.devices.air.evry: unknown; want enabled, every"},
		`{"devices":{"air":{"every":60}}}`:              {"settings.devices.air.every: this is no text; want a time"},
		`{"devices":{"air":{"every":"60"}}}`:            {"settings.devices.air.every: the unit is missing; want a time"},
		`{"devices":{"air":{"every":"99ms"}}}`:          {"99ms is not allowed; want a time from 100ms to 24h"},
		`{"devices":{"air":{"every":"25h"}}}`:           {"25h is not allowed"},
		`{"devices":{"air":{"every":"-1m"}}}`:           {"settings.devices.air.every: "},
		`{"devices":{"air":{"enabled":"no"}}}`:          {"settings.devices.air.enabled: want true or false"},
		`{"x":1,"devices":{"air":{"y":1},"door":{}}}`:   {"settings.devices.air.y: ", "settings.devices.door: ", "settings.x: "},
		`{"devices":{"air":{"every":"1m"},"dor":true}}`: {"settings.devices.dor: there is no such device"},
	} {
		got, faults := greenhouse.parse(fromJSON(t, text), time.Now())
		if got.devices != nil || len(faults) != len(wants) {
			t.Errorf("%s: %v, faults %q", text, got, faults)
			continue
		}
		for i, want := range wants {
			if !strings.Contains(faults[i], want) {
				t.Errorf("%s: fault %q, want %q", text, faults[i], want)
			}
		}
	}
}

// The bounds of every are those of the config.
func TestBoundsOfEvery(t *testing.T) {
	field, _ := reflect.TypeFor[DeviceConfig]().FieldByName("Every")
	for key, want := range map[string]time.Duration{"min": minEvery, "max": maxEvery} {
		if got, err := config.ParseDuration(field.Tag.Get(key)); err != nil || got != want {
			t.Errorf("%s is %v in the config (%v), %v for settings", key, got, err, want)
		}
	}
}

func TestKeysOfTheTwin(t *testing.T) {
	for id, want := range map[string]string{
		"air": "air", "north.soil": "north%2Esoil", "device:a.b": "device:a%2Eb", "a%2Eb": "a%252Eb", "$x y": "%24x%20y",
	} {
		if got := escapeKey(id); got != want || unescapeKey(got) != id {
			t.Errorf("%s: %s, back %s", id, got, unescapeKey(got))
		}
	}
	if got := unescapeKey("50%"); got != "50%" {
		t.Errorf("got %s", got)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"devices":{"air":{"every":"1m30s","enabled":false}}}`))
	f.Add([]byte(`{"devices":{"north%2Esoil":{"every":1e300},"%zz":null}}`))
	f.Add([]byte(strings.Repeat(`{"devices":`, 1000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		var raw map[string]any
		if decodeJSON(text, &raw) != nil {
			return
		}
		got, faults := greenhouse.parse(raw, time.Now())
		if (got.devices == nil) != (len(faults) > 0) {
			t.Errorf("%v, %q", got, faults)
		}
		for id, s := range got.devices {
			if p := s.over(time.Minute); !greenhouse[id] || p.Every < minEvery || p.Every > maxEvery {
				t.Errorf("%s: %+v", id, p)
			}
		}
		v := rejected(1, faults)
		for _, e := range v.Errors {
			if len(e) > maxVerdictText+len("…") {
				t.Errorf("an error of %d bytes", len(e))
			}
		}
	})
}
