//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// lastAlert is what the hub was last told of an alert of bench.
func (h *hub) lastAlert(t *testing.T) (told string) {
	t.Helper()
	for _, e := range h.events(t) {
		var body struct{ Alert map[string]any }
		if json.Unmarshal(e.Body, &body) == nil && body.Alert != nil {
			told = fmt.Sprint(body.Alert["id"], " ", body.Alert["active"])
		}
	}
	return told
}

// TestKillsWhileThresholdsAreSet: the hub sets an alert and takes it back, and the
// gateway is killed at any moment of that. What the hub wants comes into force, and in
// the end it knows whether the alert stands.
func TestKillsWhileThresholdsAreSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	for i := range 8 {
		alerts, want := any(map[string]any{"warm": map[string]any{"when": "temperature > -100"}}), "warm true"
		if i%2 == 1 {
			alerts, want = nil, "warm false"
		}
		h.desire(t, map[string]any{"settings": map[string]any{"devices": map[string]any{"bench": map[string]any{"alerts": alerts}}}})
		moment := rand.N(600 * time.Millisecond)
		t.Logf("round %d: killed after %v", i, moment)
		time.Sleep(moment)
		g.process.kill()
		g.start(t)
		h.awaitSettings(t, h.desire(t, map[string]any{"round": i}), "applied") // by the one that was started now
		eventually(t, 20*time.Second, func() error {
			if got := h.lastAlert(t); got != want {
				return fmt.Errorf("the hub was last told %q, want %q", got, want)
			}
			return nil
		})
	}
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
