package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

func TestReloadSaysWhatCameOfIt(t *testing.T) {
	code, body := http.StatusOK, any(service.Reloaded{})
	b := newBoard(t)
	reload := func(want int, args ...string) (out, errs string) {
		t.Helper()
		got, out, errs := cli(t, append([]string{"reload", "--socket", b.socket()}, args...)...)
		if got != want {
			t.Errorf("code %d, want %d: %s%s", got, want, out, errs)
		}
		return out, errs
	}
	_, errs := reload(exitUnavailable)
	wantText(t, "no gateway", errs, "no gateway at ")

	b.answer(t, "POST /v1/reload", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	})
	out, _ := reload(exitOK)
	wantText(t, "nothing", out, "in force, no device and no connection is another\n")
	body = service.Reloaded{
		Added: []gateway.DeviceID{"lamp"}, Reopened: []gateway.DeviceID{"pump", "fan"}, Upstream: true, Advice: []string{"fieldpost.yaml:7:5: a port by a name that does not last"},
	}
	out, errs = reload(exitOK)
	wantText(t, "something", out, "in force; new: lamp; opened anew: fan, pump; the connection to the upstream is made anew\n")
	wantText(t, "advice", errs, "warning: fieldpost.yaml:7:5: ")
	out, _ = reload(exitOK, "--json")
	wantText(t, "JSON", out, `"added"`, `"lamp"`)
	code, body = http.StatusUnprocessableEntity, service.Fault{Error: "fieldpost.yaml:9:14: queue: what is wrong"}
	_, errs = reload(exitConfig)
	wantText(t, "a wrong file", errs, "fieldpost.yaml:9:14: ")
	code, body = http.StatusConflict, service.Fault{Error: "queue.max_bytes, which takes a restart"}
	_, errs = reload(exitFailed)
	wantText(t, "what takes a restart", errs, "queue.max_bytes")
}
