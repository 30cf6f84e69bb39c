package service

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// set lays settings over the config, as a command does.
func (r *remoteRig) set(command, settings string) error {
	r.t.Helper()
	var raw map[string]any
	unmarshal(r.t, settings, &raw)
	_, err := r.Set(command, raw, true)
	return err
}

func (r *remoteRig) wantEvery(want time.Duration) {
	r.t.Helper()
	if got := r.Tunings()["air"].pace.Every; got != want {
		r.t.Errorf("air is polled every %v, want %v", got, want)
	}
}

// TestTheLastSettingsWin: those of a command count until the hub asks for others,
// over restarts, and the other way round.
func TestTheLastSettingsWin(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		const hub, own = `{"devices":{"air":{"every":"1m"}}}`, `{"devices":{"air":{"every":"2m"}}}`
		for _, desired := range []string{`{}`, hub} {
			r.desire(3, desired)
			if err := r.set("c1", own); err != nil {
				t.Fatal(err)
			}
			r.wantEvery(2 * time.Minute)
			for range 2 {
				if v := r.desire(4, desired); v.Status != SettingsOverridden || v.By != "c1" || v.Version != 4 {
					t.Errorf("verdict %+v", v)
				}
				r.wantEvery(2 * time.Minute)
				r.restart()
				r.wantEvery(2 * time.Minute)
			}
			if v := r.desire(5, `{"devices":{"air":{"every":"3m"}}}`); v.Status != SettingsApplied || v.By != "" {
				t.Errorf("verdict %+v", v)
			}
			r.wantEvery(3 * time.Minute)
		}
		if err := r.set("c2", own); err != nil {
			t.Fatal(err)
		}
		if v := r.desire(6, own); v.Status != SettingsApplied { // the hub has come to the same
			t.Errorf("verdict %+v", v)
		}
		if v := r.desire(7, `{}`); v.Status != SettingsApplied {
			t.Errorf("verdict %+v", v)
		}
		if err := r.set("c3", `{}`); err != nil {
			t.Errorf("the same again: %v", err)
		}
	})
}

// TestSettingsOfACommandAreOnProbation, judged as those of the hub are.
func TestSettingsOfACommandAreOnProbation(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		const first, second = `{"devices":{"air":{"every":"2m"}}}`, `{"devices":{"air":{"every":"4m"}}}`
		r.desire(1, `{}`)
		if err := r.set("c1", first); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute) // they have proved themselves
		r.linked.Store(false)
		if err := r.set("c2", second); err != nil || !r.Verdict().Probation {
			t.Fatal(err, r.Verdict())
		}
		r.restart()
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		r.wantEvery(2 * time.Minute)
		if v := r.Verdict(); v.Status != SettingsRolledBack || len(v.Errors) != 1 {
			t.Errorf("verdict %+v", v)
		}
		if err := r.set("c3", second); !errors.Is(err, gateway.ErrDenied) || !strings.Contains(err.Error(), "were rolled back") {
			t.Errorf("the same again: %v", err)
		}
		r.linked.Store(true)
		if v := r.desire(1, `{}`); v.Status != SettingsOverridden || v.By != "c1" {
			t.Errorf("verdict %+v", v)
		}
		r.wantEvery(2 * time.Minute)
	})
}

func TestSettingsOfACommandAreJudged(t *testing.T) {
	remotely(t, func(t *testing.T, r *remoteRig) {
		for settings, want := range map[string]string{
			`{"devices":{"air":{"every":"1ms"}}}`: "settings.devices.air.every",
			`{"devices":{"oops":{}}}`:             "no such device",
			`{"x":1}`:                             "settings.x: unknown",
		} {
			if err := r.set("c1", settings); !errors.Is(err, gateway.ErrDenied) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", settings, err)
			}
		}
		r.wantEvery(10 * time.Second)
	})
}

// TestSettingsAndRestartByCommand: on a plain broker too, and a restart has one final
// state, after the start.
func TestSettingsAndRestartByCommand(t *testing.T) {
	t.Setenv("INVOCATION_ID", "test")
	b := startBroker(t)
	dir := t.TempDir()
	r := startService(t, dir, b.url)
	r.awaitConnected(t)
	do := func(action, args string) (body string) {
		t.Helper()
		_, body = r.call(t, http.MethodPost, "/v1/do", fmt.Sprintf(`{"device":"gateway","action":%q,"args":%s}`, action, args))
		return body
	}
	for args, want := range map[string]string{
		`{"json":"{\"devices\":{\"bench\":{\"every\":\"130ms\"}}}"}`: `"status":"done","values":{"changed":true,"probation":"5m0s"}`,
		`{"json":"{\"devices\":{\"bench\":{\"evry\":\"130ms\"}}}"}`:  `"status":"denied"`,
		`{"json":"[]"}`:             `"status":"denied"`,
		`{"json":"{\"ca\":\"x\"}"}`: `settings.ca`,
		`{}`:                        `json: missing`,
	} {
		if body := do(actionSettings, args); !strings.Contains(body, want) {
			t.Errorf("%s: %s", args, body)
		}
	}
	if set := r.device(t, "bench").Settings; len(set) != 1 || set[0] != "every" {
		t.Errorf("set: %v", set)
	}
	if err := b.server.Publish("fieldpost/gw/commands/gateway/restart/r1", nil, false, 1); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("Run returned %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("no restart")
	}
	if got := b.on("fieldpost/gw/responses/r1"); len(got) != 0 {
		t.Errorf("answered before the restart: %v", got)
	}
	r = startService(t, dir, b.url)
	eventually(t, func() error {
		if got := b.on("fieldpost/gw/responses/r1"); len(got) != 1 || !strings.Contains(got[0], `"status":"done","values":{"started":`) {
			return fmt.Errorf("answered %v", got)
		}
		return nil
	})
	if set := r.device(t, "bench").Settings; len(set) != 1 {
		t.Errorf("set after the restart: %v", set)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	t.Setenv("INVOCATION_ID", "")
	r = startService(t, dir, b.url)
	r.awaitConnected(t)
	if body := do(actionRestart, `{}`); !strings.Contains(body, `"status":"denied"`) || !strings.Contains(body, "not started by systemd") {
		t.Errorf("without systemd: %s", body)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}
