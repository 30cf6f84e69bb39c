package service

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestScenesOnAHub: groups and scenes are devices to whoever sends commands, and to
// who looks at the twin.
func TestScenesOnAHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	dir := t.TempDir()
	text := strings.Replace(configText, "{type: mqtt, url: BROKER}",
		fmt.Sprintf("{type: iothub, connection_string: %q, ca_file: %q}", h.Info().Devices[0].ConnectionString, h.Info().CA), 1)
	r := startServiceWith(t, dir, text+`  - {id: shed, driver: sim, actuations: DIR/shed}
groups: {both: [bench, shed]}
scenes:
  - id: night
    within: 1m
    steps:
      - {device: both, action: relay, args: {on: true}}
      - {wait: 10ms}
      - {device: shed, action: pulse, args: {ms: 1}, only_if: shed.relay}
      - {device: shed, action: pulse, args: {ms: 1}, only_if: not shed.relay}
`)
	r.awaitConnected(t)
	eventually(t, func() error {
		if st, body := r.call(t, http.MethodPost, "/v1/do", `{"device":"both","action":"relay","args":{"on":true}}`); st != 200 || !strings.Contains(body, `"status":"done"`) {
			return fmt.Errorf("%d %s", st, body)
		}
		for _, l := range r.device(t, "shed").Latest { // the condition goes by what was read
			if on, is := l.Value.Bool(); l.Name == "relay" && is && on {
				return nil
			}
		}
		return fmt.Errorf("the relay is not seen to be on")
	})
	status, answer := h.invoke(t, "night.run", `null`)
	if status != 200 || answer["status"] != "done" {
		t.Fatalf("%d %v", status, answer)
	}
	id := fmt.Sprint(answer["command"])
	got := fmt.Sprint(answer["values"])
	for _, want := range []string{"step:1", "step:2", "wait:10ms", "device:shed status:done step:3", "device:shed status:skipped step:4"} {
		if !strings.Contains(got, want) {
			t.Errorf("values %v, want %s", got, want)
		}
	}
	for _, part := range []string{"/1", "/1/1", "/1/2", "/3"} {
		if result := h.resultOf(t, id+part); result["status"] != "done" {
			t.Errorf("%s: %v", part, result)
		}
	}
	acts, err := os.ReadFile(filepath.Join(dir, "shed"))
	if err != nil || strings.Count(string(acts), id+"/3 pulse") != 1 || strings.Contains(string(acts), id+"/4") {
		t.Errorf("acts %s, %v", acts, err)
	}
	eventually(t, func() error {
		if d := h.twin(t).Properties.Reported.Devices; d["night"].Driver != "scene" || d["both"].Actions["relay"] != "on=true|false" {
			return fmt.Errorf("reported %+v", d)
		}
		return nil
	})
	if status, answer := h.invoke(t, "both.pulse", `{"ms":1000}`); status != 403 {
		t.Errorf("%d %v", status, answer)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestReloadInAScene: it goes on with the devices as they are then, and takes no step
// twice.
func TestReloadInAScene(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	text := strings.Replace(configText, "BROKER", b.url, 1) + `scenes:
  - id: night
    steps:
      - {device: bench, action: pulse, args: {ms: 1}}
      - {wait: 400ms}
      - {device: bench, action: pulse, args: {ms: 1}}
`
	r := startServiceWith(t, dir, text)
	r.awaitConnected(t)
	ran := make(chan string, 1)
	go func() {
		_, body := r.call(t, http.MethodPost, "/v1/do", `{"device":"night","action":"run"}`)
		ran <- body
	}()
	pulses := func() (ids []string) {
		for _, line := range r.actuations(t, "actuations") {
			if fields := strings.Fields(line); fields[2] == "pulse" {
				ids = append(ids, fields[1])
			}
		}
		return ids
	}
	eventually(t, func() error {
		if len(pulses()) == 0 {
			return errors.New("the scene has not begun")
		}
		return nil
	})
	r.edit(t, "every: 500ms", "every: 400ms")
	r.reload(t)
	if body := <-ran; !strings.Contains(body, `"status":"done"`) {
		t.Errorf("the scene: %s", body)
	}
	if ids := pulses(); len(ids) != 2 || !strings.HasSuffix(ids[0], "/1") || !strings.HasSuffix(ids[1], "/3") {
		t.Errorf("pulses %q", ids)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}
