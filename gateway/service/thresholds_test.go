package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/hubsim"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

const (
	hotAt40 = `{"devices":{"air":{"alerts":{"hot":{"when":"temperature > 40"}}}}}`
	longHot = `{"devices":{"air":{"alerts":{"hot":{"for":"10m"}}}}}`
)

// wantProcessing compares what was set of air since it was last asked; none if text is
// empty.
func (r *remoteRig) wantProcessing(want ...pipeline.AlertRule) {
	r.t.Helper()
	got, set := r.processings["air"]
	if set != (want != nil) || len(r.processings) > 1 || fmt.Sprint(got.Alerts) != fmt.Sprint(want) {
		r.t.Errorf("set %v, want alerts %v of air", r.processings, want)
	}
	clear(r.processings)
}

// TestThresholdsOfTheHub prove themselves, outlive a restart and are taken back like
// all settings.
func TestThresholdsOfTheHub(t *testing.T) {
	at35, at40 := pipeline.AlertRule{ID: "hot", When: "temperature > 35"}, pipeline.AlertRule{ID: "hot", When: "temperature > 40"}
	slow := pipeline.AlertRule{ID: "hot", When: "temperature > 35", For: 10 * time.Minute}
	remotely(t, func(t *testing.T, r *remoteRig) {
		r.desire(2, hotAt40)
		r.want(SettingsApplied, 2, true)
		r.wantProcessing(at40)
		if st := r.Status(); len(st.Devices) != 1 || strings.Join(r.Tunings()["air"].set, " ") != "alerts" {
			t.Errorf("status %+v, %v", st, r.Tunings())
		}
		time.Sleep(time.Hour)
		r.restart()
		r.want(SettingsApplied, 2, false)
		r.wantProcessing(at40) // before any connection
		r.desire(3, hotAt40)
		r.wantProcessing()
		r.desire(4, `{"devices":{"air":{"alerts":{"hot":{"when":"temprature > 40"}}}}}`)
		r.want(SettingsRejected, 4, false, "settings.devices.air.alerts.hot: there is no quantity")
		r.wantProcessing()
		r.desire(5, longHot)
		r.wantProcessing(slow)
		r.linked.Store(false)
		time.Sleep(5 * time.Minute)
		r.want(SettingsRolledBack, 5, false, "no connection to the hub")
		r.wantProcessing(at40)
		r.linked.Store(true)
		r.desire(6, `{}`)
		r.wantProcessing(at35)
		if st := r.Status(); len(st.Devices) != 0 {
			t.Errorf("status %+v", st)
		}
		r.wantPaces(paces{})
	})
}

// A file that has changed so that settings do not fit any more counts alone, until the
// hub desires others.
func TestThresholdsThatDoNotFitTheFileAnyMore(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		r.desire(2, longHot)
		time.Sleep(time.Hour)
		r.scope = loadScope(" [{id: air, driver: sim}, {id: soil, driver: sim}]")
		r.restart()
		r.want(SettingsRejected, 2, false, "settings.devices.air.alerts.hot.when: is missing")
		r.wantProcessing()
		if !strings.Contains(r.logs.String(), "do not fit the config any more") {
			t.Errorf("log: %s", r.logs)
		}
		r.desire(3, hotAt40) // whole, though there is none in the file
		r.want(SettingsApplied, 3, true)
		r.wantProcessing(pipeline.AlertRule{ID: "hot", When: "temperature > 40"})
	})
}

// alerts are those that a hub has received, each as its device, id and active.
func (h *simHub) alerts(t *testing.T) (list []string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+h.Info().HTTPS+"/hubsim/events?device=gw&limit=10000", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", h.token(t))
	resp, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var e struct {
			Body struct {
				Alert *struct {
					Device, ID, Text string
					Active           bool
				}
			}
		}
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if a := e.Body.Alert; a != nil {
			list = append(list, fmt.Sprintf("%s.%s %v", a.Device, a.ID, a.Active))
		}
	}
}

func (h *simHub) awaitAlerts(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, func() error {
		if got := h.alerts(t); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("alerts %v, want %v", got, want)
		}
		return nil
	})
}

// TestThresholdsOnAHub: a back end sets an alert, which comes, once, also over a
// restart, and ends with its rule. A stream takes settings like a polled device.
func TestThresholdsOnAHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	dir := t.TempDir()
	r := h.startOnHub(t, dir)
	h.awaitVerdict(t, 1, SettingsApplied)
	version := h.desire(t, http.MethodPatch, `{"settings":{"devices":{
		"bench":{"alerts":{"warm":{"when":"temperature > -100","text":"It is warm."}},"deadband":{"temperature":"50"},"heartbeat":"1h"},
		"programs":{"alerts":{"full":{"when":"level > 3"}},"valid_range":{"level":{"min":0}}}}}}`)
	h.awaitVerdict(t, version, SettingsApplied)
	h.awaitAlerts(t, "bench.warm true")
	r.handIn(t, `{"name":"level","value":-7}`, `{"name":"level","value":5}`) // the first is bad
	h.awaitAlerts(t, "bench.warm true", "programs.full true")
	eventually(t, func() error {
		if d := r.device(t, "bench"); d.Processing.Suppressed < 5 || strings.Join(d.Settings, " ") != "alerts deadband heartbeat" || len(d.Alerts) != 1 {
			return fmt.Errorf("device %+v, %+v", d, d.Processing)
		}
		return nil
	})
	if d := r.device(t, "programs"); d.Processing.Bad != 1 || len(d.Settings) != 2 {
		t.Errorf("device %+v, %+v", d, d.Processing)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}

	r = h.startOnHub(t, dir)
	version = h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":{"heartbeat":"2h"}}}}`)
	h.awaitVerdict(t, version, SettingsApplied)
	version = h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":null}}}`)
	h.awaitVerdict(t, version, SettingsApplied)
	h.awaitAlerts(t, "bench.warm true", "programs.full true", "bench.warm false")
	if d := r.device(t, "programs"); len(d.Alerts) != 1 {
		t.Errorf("device %+v", d)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// handIn hands readings in as a program does.
func (r *running) handIn(t *testing.T, lines ...string) {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(r.dir, "ingest.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for answers := json.NewDecoder(conn); len(lines) > 0; lines = lines[1:] {
		fmt.Fprintln(conn, lines[0])
		var answer map[string]any
		if err := answers.Decode(&answer); err != nil || answer["error"] != nil {
			t.Fatalf("%s: %v, %v", lines[0], answer, err)
		}
	}
}

// TestThresholdsThatLoseTheHub are taken back, and what was told because of them ends.
func TestThresholdsThatLoseTheHub(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := startHubWith(t, hubsim.Options{Data: data, Devices: []string{"gw"}})
	r := h.startOnHub(t, t.TempDir(), func(l *Loaded) { l.Settings.Probation = 10 * time.Second })
	h.awaitVerdict(t, 1, SettingsApplied)
	version := h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":{"alerts":{"warm":{"when":"temperature > -100"}}}}}}`)
	h.awaitAlerts(t, "bench.warm true")
	address := h.Info().MQTT
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if d := r.device(t, "bench"); len(d.Alerts) > 0 || len(d.Settings) > 0 {
			return fmt.Errorf("device %+v", d)
		}
		return nil
	})
	h = startHubWith(t, hubsim.Options{Data: data, MQTT: address})
	h.awaitVerdict(t, version, SettingsRolledBack)
	eventually(t, func() error {
		if got := h.alerts(t); len(got) == 0 || got[len(got)-1] != "bench.warm false" {
			return fmt.Errorf("alerts %v", got)
		}
		return nil
	})
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}
