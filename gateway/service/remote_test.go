package service

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

func decodeJSON(text []byte, v any) error { return json.Unmarshal(text, v) }

func unmarshal(t *testing.T, text string, v any) {
	t.Helper()
	if err := decodeJSON([]byte(text), v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// remoteRig is a gateway as far as its settings see it.
type remoteRig struct {
	t      *testing.T
	file   string
	health *health.Board
	logs   *syncBuffer
	linked atomic.Bool
	ca     *mqtt.Replacement
	scope  scope
	// As set; owned by the remote.
	paces       map[gateway.DeviceID]pipeline.Pace
	processings map[gateway.DeviceID]pipeline.Processing

	*remote
	stop func()
}

func newRemoteRig(t *testing.T) *remoteRig {
	r := &remoteRig{
		t: t, file: filepath.Join(t.TempDir(), "settings.json"), logs: &syncBuffer{},
		scope: loadScope(" [{id: air, driver: sim, alerts: [{id: hot, when: temperature > 35}]}, {id: soil, driver: sim}]"),
	}
	r.health = health.NewBoard(slog.New(slog.NewTextHandler(r.logs, nil)))
	r.linked.Store(true)
	r.start()
	return r
}

// start is a start of the program.
func (r *remoteRig) start() {
	r.paces = map[gateway.DeviceID]pipeline.Pace{}
	r.ca = mqtt.NewReplacement()
	r.processings = map[gateway.DeviceID]pipeline.Processing{}
	devices := map[gateway.DeviceID]tunable{}
	for id, d := range r.scope {
		devices[id] = tunable{
			base: d.tuning(), setPace: func(p pipeline.Pace) { r.paces[id] = p },
			setProcessing: func(p pipeline.Processing) error { r.processings[id] = p; return nil },
		}
	}
	r.remote = newRemote(remoteOptions{
		File: r.file, Hub: true, settable: settable{r.scope, devices, 5 * time.Minute}, CA: r.ca, Now: time.Now, Linked: r.linked.Load, Health: r.health,
		Log: slog.New(slog.NewTextHandler(r.logs, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	run := r.Run
	go func() {
		defer close(ended)
		_ = run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-ended
	}
}

func (r *remoteRig) restart() {
	r.stop()
	r.start()
}

func (r *remoteRig) desire(version int64, settings string) Verdict {
	r.t.Helper()
	var v any
	unmarshal(r.t, settings, &v)
	r.Desire(version, v)
	return r.Verdict()
}

// file content and time of writing, to see whether it was written.
func (r *remoteRig) written() string {
	r.t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil {
		return err.Error()
	}
	info, err := os.Stat(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text) + info.ModTime().String()
}

func (r *remoteRig) want(status VerdictStatus, version int64, probation bool, errors ...string) {
	r.t.Helper()
	synctest.Wait()
	got := r.Verdict()
	if got.Status != status || got.Version != version || got.Probation != probation || len(got.Errors) != len(errors) {
		r.t.Errorf("verdict %+v, want %s of version %d, probation %v, errors %q", got, status, version, probation, errors)
		return
	}
	for i, e := range errors {
		if !strings.Contains(got.Errors[i], e) {
			r.t.Errorf("error %q, want %q", got.Errors[i], e)
		}
	}
}

func (r *remoteRig) wantPaces(want map[gateway.DeviceID]pipeline.Pace) {
	r.t.Helper()
	if !maps.Equal(r.paces, want) {
		r.t.Errorf("set %v, want %v", r.paces, want)
	}
	r.paces = map[gateway.DeviceID]pipeline.Pace{}
}

type paces = map[gateway.DeviceID]pipeline.Pace

const (
	fastAir = `{"devices":{"air":{"every":"1s"}}}`
	noSoil  = `{"devices":{"soil":{"enabled":false}}}`
)

func remotely(t *testing.T, body func(t *testing.T, r *remoteRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRemoteRig(t)
		body(t, r)
		r.stop()
	})
}

// TestRenewalIsNoLoss: a token that is renewed just when a probation ends does not
// take the settings back.
func TestRenewalIsNoLoss(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		st   uplink.Stats
		want bool
	}{
		"connected":   {uplink.Stats{Connected: true, Since: now.Add(-time.Hour)}, true},
		"renewing":    {uplink.Stats{Since: now.Add(-2 * time.Second)}, true},
		"lost":        {uplink.Stats{Since: now.Add(-2 * time.Second), LastError: "cut"}, false},
		"stuck":       {uplink.Stats{Since: now.Add(-time.Minute)}, false},
		"never there": {uplink.Stats{Since: now.Add(-5 * time.Minute)}, false},
	} {
		if got := linked(tc.st, now); got != tc.want {
			t.Errorf("%s: linked %v", name, got)
		}
	}
}

func TestSettingsAreAppliedAndProveThemselves(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		r.desire(1, `null`)
		r.want(SettingsApplied, 1, false)
		if _, err := os.Stat(r.file); !os.IsNotExist(err) {
			t.Error("nothing is desired, and a file was written")
		}
		r.desire(2, fastAir)
		r.want(SettingsApplied, 2, true)
		r.wantPaces(paces{"air": {Every: time.Second, Enabled: true}})
		r.linked.Store(false) // and back
		time.Sleep(4 * time.Minute)
		r.linked.Store(true)
		time.Sleep(time.Minute)
		r.want(SettingsApplied, 2, false)
		<-r.Changed()
		before := r.written()
		r.desire(3, fastAir) // something else has changed
		r.want(SettingsApplied, 3, false)
		r.restart()
		r.wantPaces(paces{"air": {Every: time.Second, Enabled: true}}) // before any connection
		r.desire(3, fastAir)
		r.want(SettingsApplied, 3, false)
		r.wantPaces(paces{})
		time.Sleep(time.Hour)
		if after := r.written(); after != before {
			t.Errorf("nothing new, and the file was written: %s, before %s", after, before)
		}
		r.desire(4, noSoil)
		r.wantPaces(paces{"air": {Every: 10 * time.Second, Enabled: true}, "soil": {Every: 10 * time.Second}})
		time.Sleep(time.Hour)
		r.desire(5, `null`)
		r.wantPaces(paces{"soil": {Every: 10 * time.Second, Enabled: true}})
	})
}

func TestRejectedSettingsChangeNothing(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		r.desire(2, fastAir)
		time.Sleep(time.Hour)
		before := r.written()
		r.paces = paces{}
		r.desire(3, `{"devices":{"soil":{"enabled":false},"air":{"evry":"1s"}}}`)
		r.want(SettingsRejected, 3, false, "settings.devices.air.evry: unknown")
		r.desire(4, `7`)
		r.want(SettingsRejected, 4, false, "settings: want an object")
		r.wantPaces(paces{})
		if r.written() != before {
			t.Error("the file was written")
		}
		r.restart()
		r.wantPaces(paces{"air": {Every: time.Second, Enabled: true}})
	})
}

func TestSettingsThatCutTheLink(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		r.desire(2, noSoil)
		time.Sleep(time.Hour)
		r.paces = paces{}
		r.desire(3, fastAir)
		r.wantPaces(paces{"air": {Every: time.Second, Enabled: true}, "soil": {Every: 10 * time.Second, Enabled: true}})
		r.linked.Store(false)
		time.Sleep(5*time.Minute - time.Second)
		r.want(SettingsApplied, 3, true)
		time.Sleep(time.Second)
		r.want(SettingsRolledBack, 3, false, "no connection to the hub")
		r.wantPaces(paces{"air": {Every: 10 * time.Second, Enabled: true}, "soil": {Every: 10 * time.Second}})
		r.linked.Store(true)
		before := r.written()
		r.desire(3, fastAir) // the hub still wants it
		r.want(SettingsRolledBack, 3, false, "no connection to the hub")
		r.restart()
		r.desire(4, fastAir) // and something else
		r.want(SettingsRolledBack, 4, false, "no connection to the hub")
		r.wantPaces(paces{"soil": {Every: 10 * time.Second}})
		if r.written() != before {
			t.Error("the file was written")
		}
		r.desire(5, noSoil) // taken back
		r.want(SettingsApplied, 5, false)
		r.desire(6, fastAir) // and tried again
		r.want(SettingsApplied, 6, true)
		time.Sleep(time.Hour)
		r.want(SettingsApplied, 6, false)
	})
}

// Settings that break a promise of the gateway are taken back; what was wrong
// before, or is none of their doing, is not held against them.
func TestSettingsThatDoHarm(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		r.health.Raise("readings-lost:telemetry", health.Error, "old")
		r.desire(2, fastAir)
		r.health.Raise("device:air", health.Warning, "new")
		time.Sleep(time.Hour)
		r.want(SettingsApplied, 2, false)
		r.desire(3, noSoil)
		r.health.Raise(conditionQueue, health.Error, "new")
		time.Sleep(time.Minute)
		r.desire(4, `{}`) // in the midst of it: the way back is to what was proved
		time.Sleep(time.Hour)
		r.want(SettingsRolledBack, 4, false, "the condition queue-refuses stands")
		if p := r.Tunings()["air"].pace; p.Every != time.Second {
			t.Errorf("in force %+v", p)
		}
	})
}

// A probation outlives restarts, a crash at each of them does not outlive it.
func TestProbationAcrossRestarts(t *testing.T) {
	remotely(t, func(_ *testing.T, r *remoteRig) {
		r.desire(2, fastAir)
		for range maxProbationStarts {
			time.Sleep(4 * time.Minute)
			r.restart()
			r.want(SettingsApplied, 2, true)
			r.wantPaces(paces{"air": {Every: time.Second, Enabled: true}})
		}
		r.restart()
		r.wantPaces(paces{})
		r.desire(2, fastAir)
		r.want(SettingsRolledBack, 2, false, "started 3 times")
		r.desire(3, noSoil)
		r.restart()
		time.Sleep(5 * time.Minute)
		r.want(SettingsApplied, 3, false)
		r.restart()
		r.want(SettingsApplied, 3, false)
	})
}

func TestSettingsFileThatCannotBeUsed(t *testing.T) {
	for name, text := range map[string]string{
		"nonsense": "{", "zeros": string(make([]byte, 4096)), "torn": `{"v":1,"version":1,"in_force":{"ca":"-----BEG`, "other version": `{"v":2,"version":1,"in_force":{}}`, "more": `{"v":1,"x":1}`,
		"other config": `{"v":1,"version":1,"in_force":{"devices":{"gone":{"every":"1s"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			remotely(t, func(t *testing.T, r *remoteRig) {
				r.stop()
				if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				r.logs = &syncBuffer{}
				r.start()
				r.wantPaces(paces{})
				if !strings.Contains(r.logs.String(), "level=ERROR") {
					t.Errorf("log: %s", r.logs)
				}
				if name == "other config" { // they are not in force, and not said to be
					r.want(SettingsRejected, 1, false, "there is no such device")
				}
				r.desire(5, fastAir)
				r.want(SettingsApplied, 5, true)
			})
		})
	}
}

// What cannot be remembered is not applied: the next start would not know it.
func TestSettingsThatCannotBeRemembered(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		if err := os.MkdirAll(filepath.Join(r.file, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		r.desire(2, fastAir)
		r.want(SettingsRejected, 2, false, "settings: ")
		r.wantPaces(paces{})
	})
}

func TestManyErrorsAreCut(t *testing.T) {
	faults := make([]string, 20)
	for i := range faults {
		faults[i] = strings.Repeat("ü", 400)
	}
	v := rejected(1, faults)
	if n := len(v.Errors); n != maxVerdictErrors+1 || v.Errors[n-1] != "and 12 more" || len(v.Errors[0]) != 303 {
		t.Errorf("%d errors, the last %q", n, v.Errors[n-1])
	}
	if !reflect.DeepEqual(rejected(1, []string{"a"}).Errors, []string{"a"}) {
		t.Error("one error is another")
	}
}
