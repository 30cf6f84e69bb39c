package service

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOutputsOfAHub: what a back end wants of an output is done once, whatever the
// gateway and the line do; it sees what became of it.
func TestOutputsOfAHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	dir := t.TempDir()
	h.desire(t, http.MethodPatch, `{"outputs":{"bench":{"relay":{"on":true}}}}`) // before the first start
	r := h.startOnHub(t, dir)
	await := func(version int64, status, detail string) {
		t.Helper()
		eventually(t, func() error {
			got := h.twin(t).Properties.Reported.Outputs["bench"]["relay"]
			if got.Version != version || string(got.Status) != status || !strings.Contains(got.Detail, detail) {
				return fmt.Errorf("reported %+v, want version %d %s", got, version, status)
			}
			return nil
		})
	}
	switched := func() (acts int) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "actuations"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), " desired-")
	}
	first := h.version(t)
	await(first, "done", "")

	h.post(t, "/hubsim/devices/gw/disconnect", `{}`)
	h.awaitSettled(t, r, `{"outputs":{"bench":{"pulse":{"ms":5}},"board":{"set":{}},"nobody":5}}`)
	reported := h.twin(t).Properties.Reported
	if got := reported.Outputs["bench"]["pulse"]; got.Status != "rejected" || !strings.Contains(got.Detail, "not idempotent") {
		t.Errorf("reported %+v", got)
	}
	if got := reported.Outputs["board"]["set"]; got.Status != "rejected" || !strings.Contains(got.Detail, "no device") {
		t.Errorf("reported %+v", got)
	}
	if len(reported.Faults) != 1 || !strings.HasPrefix(reported.Faults[0], "outputs.nobody") {
		t.Errorf("faults %v", reported.Faults)
	}
	await(first, "done", "")
	if n := switched(); n != 1 {
		t.Errorf("switched %d times", n)
	}

	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	r = h.startOnHub(t, dir)
	h.awaitSettled(t, r, `{"outputs":{"nobody":null}}`)
	if n := switched(); n != 1 {
		t.Errorf("switched %d times", n)
	}
	second := h.desire(t, http.MethodPatch, `{"outputs":{"bench":{"relay":{"on":false}}}}`)
	await(second, "done", "")
	third := h.desire(t, http.MethodPatch, `{"outputs":{"bench":{"relay":{"on":"maybe"}}}}`)
	await(third, "rejected", "maybe is not allowed")
	h.awaitSettled(t, r, `{"outputs":null}`)
	if n := switched(); n != 2 {
		t.Errorf("switched %d times", n)
	}
	if outputs := h.twin(t).Properties.Reported.Outputs; len(outputs) > 0 {
		t.Errorf("reported %v", outputs)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// version is that of the desired properties.
func (h *simHub) version(t *testing.T) int64 {
	t.Helper()
	v, _ := h.twin(t).Properties.Desired["$version"].(float64)
	return int64(v)
}

// awaitSettled changes the desired properties and waits until the gateway has taken
// them, as its verdict on settings tells.
func (h *simHub) awaitSettled(t *testing.T, r *running, desired string) {
	t.Helper()
	r.awaitConnected(t)
	h.awaitVerdict(t, h.desire(t, http.MethodPatch, desired), SettingsApplied)
}
