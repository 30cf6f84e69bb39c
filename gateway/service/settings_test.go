package service

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// fromJSON is what a hub gives for a text.
func fromJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	object := map[string]any{}
	unmarshal(t, text, &object)
	return object
}

// greenhouse has devices of every kind.
var greenhouse = sync.OnceValue(func() scope {
	return loadScope(`
  - id: air
    driver: sim
    every: 1h
    valid_range: {temperature: {min: -40, max: 85}}
    derive: {dew_point: {value: temperature - (100 - humidity) / 5}}
    alerts: [{id: too.hot, when: temperature > 35, until: temperature < 33, for: 2m, text: Too hot.}]
    deadband: {temperature: 0.1, dew_point: 2%}
    heartbeat: 1h
  - {id: north.soil, driver: sim}
  - {id: pump, driver: relay, line: GPIO17}
  - {id: programs, driver: ingest}
  - {id: wind, driver: nmea, port: /dev/serial/by-id/wind, every: 5s}
`)
})

func loadScope(devices string) scope {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(file, []byte("upstreams: [{type: mqtt, url: mqtt://broker}]\ndevices:"+devices), 0o600); err != nil {
		panic(err)
	}
	loaded, err := Load(file)
	if err != nil {
		panic(err)
	}
	return loaded.scope()
}

func TestParseSettings(t *testing.T) {
	got, faults := greenhouse().parse(fromJSON(t, `{"devices":{"air":{"every":"1m30s"},"north%2Esoil":{"enabled":false,"every":"100ms"}}}`), time.Now())
	if faults != nil {
		t.Fatal(faults)
	}
	for id, want := range map[gateway.DeviceID]pipeline.Pace{
		"air": {Every: 90 * time.Second, Enabled: true}, "north.soil": {Every: 100 * time.Millisecond},
	} {
		if pace := got.devices[id].pace; pace != want {
			t.Errorf("%s: %+v, want %+v", id, pace, want)
		}
	}
	if set := got.devices["north.soil"].set; !slices.Equal(set, []string{"enabled", "every"}) || len(got.devices) != 2 {
		t.Errorf("set %v, %v", set, got.devices)
	}
	for _, none := range []string{`{}`, `{"devices":{}}`} {
		if got, faults := greenhouse().parse(fromJSON(t, none), time.Now()); faults != nil || len(got.devices) != 0 || got.ca != nil {
			t.Errorf("%s: %v, %v", none, got, faults)
		}
	}
}

// TestSettingsLieOverTheFile, quantity by quantity, alert by alert, key by key.
func TestSettingsLieOverTheFile(t *testing.T) {
	number := func(x float64) *float64 { return &x }
	for text, change := range map[string]func(p *pipeline.Processing){
		`{}`: func(*pipeline.Processing) {},
		`{"deadband":{"temperature":"0.5","humidity":"change"}}`: func(p *pipeline.Processing) {
			p.Deadband = map[string]string{"temperature": "0.5", "dew_point": "2%", "humidity": "change"}
		},
		`{"deadband":{"dew_point":false},"heartbeat":"10m"}`: func(p *pipeline.Processing) {
			p.Deadband, p.Heartbeat = map[string]string{"temperature": "0.1"}, 10*time.Minute
		},
		`{"deadband":false,"heartbeat":false}`: func(p *pipeline.Processing) { p.Deadband, p.Heartbeat = nil, 15*time.Minute },
		`{"valid_range":{"temperature":{"max":60,"outside":"drop"}}}`: func(p *pipeline.Processing) {
			p.ValidRange = map[string]pipeline.ValidRange{"temperature": {Min: number(-40), Max: number(60), Outside: "drop"}}
		},
		`{"alerts":{"too%2Ehot":{"when":"temperature > 40","until":false},"dry":{"when":"humidity < 20","for":"1h"}}}`: func(p *pipeline.Processing) {
			p.Alerts = []pipeline.AlertRule{
				{ID: "too.hot", When: "temperature > 40", For: 2 * time.Minute, Text: "Too hot."}, {ID: "dry", When: "humidity < 20", For: time.Hour},
			}
		},
		`{"alerts":{"too%2Ehot":false}}`: func(p *pipeline.Processing) { p.Alerts = nil },
		`{"alerts":false}`:               func(p *pipeline.Processing) { p.Alerts = nil },
		`{"alerts":{"too%2Ehot":{"text":"${file:/etc/passwd}"}}}`: func(p *pipeline.Processing) {
			p.Alerts = slices.Clone(p.Alerts)
			p.Alerts[0].Text = "${file:/etc/passwd}"
		},
		`{"rate_limit":{"count":"1m"},"window":{"temperature":{"every":"5m","of":["max"]}},"deadband":{"temperature%2Emax":1}}`: func(p *pipeline.Processing) {
			p.RateLimit = map[string]time.Duration{"count": time.Minute}
			p.Window = map[string]pipeline.Window{"temperature": {Every: 5 * time.Minute, Of: []string{"max"}}}
			p.Deadband = map[string]string{"temperature": "0.1", "dew_point": "2%", "temperature.max": "1"}
		},
	} {
		got, faults := greenhouse().parse(fromJSON(t, `{"devices":{"air":`+text+`}}`), time.Now())
		want := greenhouse()["air"].Processing
		change(&want)
		if faults != nil || plain(t, got.devices["air"].processing) != plain(t, want) {
			t.Errorf("%s: %q\n%s, want\n%s", text, faults, plain(t, got.devices["air"].processing), plain(t, want))
		}
	}
}

// plain is a processing as a text in which nothing and none are the same.
func plain(t *testing.T, p pipeline.Processing) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(text), "{}", "null"), "[]", "null")
}

func TestSettingsFaultsNameThePlace(t *testing.T) {
	for text, wants := range map[string][]string{
		`{"device":{}}`:                           {"settings.device: unknown; want ca, devices"},
		`{"devices":[]}`:                          {"settings.devices: want an object of devices"},
		`{"devices":{"door":{}}}`:                 {"settings.devices.door: there is no such device; want one of air, north.soil, programs, pump, wind"},
		`{"devices":{"programs":{"every":"1m"}}}`: {"settings.devices.programs.every: has no effect with the driver ingest, whose devices are not polled"},
		`{"devices":{"wind":{"every":"1m"}}}`:     {"settings.devices.wind.every: has no effect with the driver nmea"}, // the key of the driver
		`{"devices":{"wind":{"enabled":true}}}`:   {"settings.devices.wind.enabled: has no effect with the driver nmea"},
		`{"devices":{"air":1}}`:                   {"settings.devices.air: want an object"},
		`{"devices":{"air":{"evry":"1m"}}}`:       {"settings.devices.air.evry: unknown; want alerts, deadband, enabled, every, heartbeat, rate_limit, valid_range, window"},
		`{"devices":{"air":{"id":"x"}}}`:          {"settings.devices.air.id: unknown"},
		`{"devices":{"air":{"every":60}}}`:        {`settings.devices.air.every: "60" is not allowed: the unit is missing; want a duration from 100ms to 24h`},
		`{"devices":{"air":{"every":"99ms"}}}`:    {`settings.devices.air.every: "99ms" is not allowed`},
		`{"devices":{"air":{"every":"25h"}}}`:     {`settings.devices.air.every: "25h" is not allowed`},
		`{"devices":{"air":{"every":"-1m"}}}`:     {"settings.devices.air.every: "},
		`{"devices":{"air":{"enabled":"no"}}}`:    {"settings.devices.air.enabled: want true or false"},
		`{"x":1,"devices":{"air":{"y":1,"every":"x","alerts":{"a":{}}},"door":{}}}`: {
			"settings.devices.air.alerts.a.when: is missing", "settings.devices.air.every: ", "settings.devices.air.y: ", "settings.devices.door: ", "settings.x: ",
		},
		`{"devices":{"air":{"every":"1m"},"dor":true}}`:                                         {"settings.devices.dor: there is no such device"},
		`{"devices":{"air":{"deadband":{"temperature":"some"}}}}`:                               {"settings.devices.air.deadband.temperature: "},
		`{"devices":{"air":{"deadband":{"temprature":"1"}}}}`:                                   {`settings.devices.air.deadband.temprature: there is no quantity "temprature"; this device has count, door_open`},
		`{"devices":{"air":{"deadband":{"humidity":false}}}}`:                                   {"settings.devices.air.deadband.humidity: the config has nothing here that could be taken out"},
		`{"devices":{"air":{"deadband":false}}}`:                                                {"devices[air].heartbeat: has no effect without deadband"},
		`{"devices":{"air":{"deadband":"1"}}}`:                                                  {"settings.devices.air.deadband: is a single value; want a section"},
		`{"devices":{"north%2Esoil":{"heartbeat":"1h"}}}`:                                       {"settings.devices.north%2Esoil.heartbeat: has no effect without deadband"},
		`{"devices":{"air":{"heartbeat":"1ms"}}}`:                                               {"settings.devices.air.heartbeat: "},
		`{"devices":{"air":{"valid_range":{"temperature":{"min":90}}}}}`:                        {"settings.devices.air.valid_range.temperature.min: 90 is above max, 85"},
		`{"devices":{"air":{"valid_range":{"temperature":{"max":-41}}}}}`:                       {"devices[air].valid_range.temperature.min: -40 is above max, -41"},
		`{"devices":{"air":{"alerts":{"too%2Ehot":{"when":"temperature >"}}}}}`:                 {`settings.devices.air.alerts."too.hot".when: `},
		`{"devices":{"air":{"alerts":{"wet":{"when":"rain > 1"}}}}}`:                            {`settings.devices.air.alerts.wet: there is no quantity "rain"`},
		`{"devices":{"air":{"alerts":{"wet":{"when":"humidity > 1","for":"2d"}}}}}`:             {"settings.devices.air.alerts.wet.for: "},
		`{"devices":{"air":{"alerts":{"wet":{"whenn":"humidity > 1","when":"humidity > 1"}}}}}`: {"settings.devices.air.alerts.wet.whenn: is not a key that is known here"},
		`{"devices":{"air":{"alerts":[{"id":"wet","when":"humidity > 1"}]}}}`:                   {"settings.devices.air.alerts: want an object of alerts, each by its id"},
		`{"devices":{"air":{"alerts":{"wet":{"id":"dry","when":"humidity > 1"}}}}}`:             {"settings.devices.air.alerts.wet.id: the name of the object is the id"},
		`{"devices":{"air":{"window":{"temperature":{"of":["mean","mode"],"every":"1m"}}}}}`:    {"settings.devices.air.window.temperature.of[1]: "},
		`{"devices":{"air":{"rate_limit":{"temperature":"1ms"}}}}`:                              {"settings.devices.air.rate_limit.temperature: "},
		`{"devices":{"pump":{"deadband":{"x":"1"}}}}`:                                           {`settings.devices.pump.deadband.x: there is no quantity "x"; this device has on`},
		`{"devices":{"programs":{"rate_limit":{"x":"1m"}}}}`:                                    {"settings.devices.programs.rate_limit: has no place with the driver ingest, which promises an id for each reading"},
		`{"devices":{"programs":{"valid_range":{"x":{"max":1,"outside":"drop"}}}}}`:             {"settings.devices.programs.valid_range.x.outside: has no place"},
		`{"devices":{"programs":{"valid_range":{"x":{"max":1}},"alerts":{"a":{"when":"x"}}}}}`:  nil,
		`{"devices":{"wind":{"rate_limit":{"wind_speed":"1m"}}}}`:                               nil,
	} {
		got, faults := greenhouse().parse(fromJSON(t, text), time.Now())
		if (got.devices == nil) != (wants != nil) || len(faults) != len(wants) {
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
	f.Add([]byte(`{"devices":{"air":{"alerts":{"too%2Ehot":{"when":"temperature > 40","until":false},"b":{"when":"1/0 > humidity","for":"1h"}}}}}`))
	f.Add([]byte(`{"devices":{"air":{"deadband":{"temperature":0.5,"":false},"valid_range":{"temperature":{"max":1e308}},"window":{"count":{"every":"5m","of":["max"]}}},"programs":{"rate_limit":{"x":"1m"}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var raw map[string]any
		if decodeJSON(text, &raw) != nil {
			return
		}
		got, faults := greenhouse().parse(raw, time.Now())
		if (got.devices == nil) != (len(faults) > 0) {
			t.Errorf("%v, %q", got, faults)
		}
		for id, s := range got.devices {
			d, known := greenhouse()[id]
			if polled := s.pace.Every >= 100*time.Millisecond && s.pace.Every <= 24*time.Hour; !known || polled != d.driver.Polled() {
				t.Errorf("%s: %+v", id, s.pace)
			}
			if _, err := pipeline.NewChain(s.processing); err != nil { // or they could not be applied
				t.Errorf("%s: %v", id, err)
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
