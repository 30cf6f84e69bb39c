package service

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestProcessingOnAPlainBroker: what is sent is what was made true; an alert
// comes once, in its lane, also over a restart, and its end when the relay is
// switched back.
func TestProcessingOnAPlainBroker(t *testing.T) {
	t.Parallel()
	b, dir := startBroker(t), t.TempDir()
	text := strings.Replace(strings.Replace(configText, "BROKER", b.url, 1), "driver: sim,", `driver: sim,
    calibrate: {temperature: {table: [[-300, 1000], [300, 1000.5]]}},
    derive: {twice: {value: 2 * temperature, unit: Cel}},
    alerts: [{id: switched, when: relay, text: The relay is on.}],
    deadband: {temperature: 50, humidity: 50, twice: 50, door_open: change, relay: change, count: 1000000},`, 1)
	start := func() *running {
		r := startServiceWith(t, dir, text)
		r.awaitConnected(t)
		return r
	}
	alerts := func(want ...string) error {
		got := b.on("fieldpost/gw/alerts")
		if len(got) != len(want) {
			return fmt.Errorf("%d alerts, want %d: %v", len(got), len(want), got)
		}
		for i, w := range want {
			if !strings.Contains(got[i], `"kind":"alert"`) || !strings.Contains(got[i], w) {
				return fmt.Errorf("alert %s, want %s", got[i], w)
			}
		}
		return nil
	}

	r := start()
	r.switchOn(t)
	eventually(t, func() error { return alerts(`"id":"switched","active":true,"text":"The relay is on."`) })
	eventually(t, func() error {
		d := r.device(t, "bench")
		if d.Processing.Suppressed < 20 || d.Processing.Derived < 5 || len(d.Alerts) != 1 {
			return fmt.Errorf("%+v, alerts %v", d.Processing, d.Alerts)
		}
		for _, l := range d.Latest {
			if x, _ := l.Value.Number(); l.Name == "temperature" && (x < 1000 || x > 1001) || l.Name == "twice" && x < 2000 {
				return fmt.Errorf("latest %+v", l)
			}
		}
		return nil
	})
	if sent := strings.Join(b.on("fieldpost/gw/telemetry"), ""); strings.Count(sent, `"temperature"`) != 1 || strings.Count(sent, `"twice"`) != 1 {
		t.Errorf("sent more than what has changed: %s", sent)
	}
	if err := r.stop(t); err != nil {
		t.Fatal(err)
	}

	r = start() // the relay is off again
	eventually(t, func() error {
		return alerts(`"active":true`, `"active":false`)
	})
	if err := r.stop(t); err != nil {
		t.Fatal(err)
	}
}

// TestAlertsEndWithTheirDevice, and with their rules: a receiver that was told of
// the beginning is told of the end, once, though nothing is left that could.
func TestAlertsEndWithTheirDevice(t *testing.T) {
	t.Parallel()
	const rule = "alerts: [{id: low, when: temperature < 1000}]"
	for name, change := range map[string]*strings.Replacer{
		"rules gone":  strings.NewReplacer("driver: sim, "+rule, "driver: sim"),
		"another id":  strings.NewReplacer("id: bench", "id: table", "driver: sim, "+rule, "driver: sim"),
		"other rules": strings.NewReplacer("id: low", "id: lower"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, dir := startBroker(t), t.TempDir()
			text := strings.Replace(strings.Replace(configText, "BROKER", b.url, 1), "driver: sim,", "driver: sim, "+rule+",", 1)
			ends := func() (n int) {
				for _, alert := range b.on("fieldpost/gw/alerts") {
					if strings.Contains(alert, `"device":"bench","id":"low","active":false`) {
						n++
					}
				}
				return n
			}
			for run, text := range []string{text, change.Replace(text), change.Replace(text)} {
				r := startServiceWith(t, dir, text)
				r.awaitConnected(t)
				eventually(t, func() error {
					if all := b.on("fieldpost/gw/alerts"); len(all) == 0 || run > 0 && ends() == 0 {
						return fmt.Errorf("run %d: %v", run, all)
					}
					return nil
				})
				if err := r.stop(t); err != nil {
					t.Fatal(err)
				}
			}
			if ends() != 1 {
				t.Errorf("told %d ends: %v", ends(), b.on("fieldpost/gw/alerts"))
			}
		})
	}
}

// switchOn switches the relay of the bench on, as soon as that can be done.
func (r *running) switchOn(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if code, body := r.call(t, "POST", "/v1/do", `{"device":"bench","action":"relay","args":{"on":true}}`); code != 200 || !strings.Contains(body, `"done"`) {
			return errors.New(body)
		}
		return nil
	})
}
