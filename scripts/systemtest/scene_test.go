//go:build wide

package systemtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilledScene: kill -9 at any moment of a scene, again and again. It is gone on
// with each time; no step is carried out twice or out of its turn, and the scene has
// one final state.
func TestKilledScene(t *testing.T) {
	const pulses = 12
	dir := t.TempDir()
	m := startMosquitto(t, dir)
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream())
	text, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	scene := "scenes:\n  - id: night\n    within: 5m\n    steps:\n"
	for range pulses {
		scene += "      - {device: bench, action: pulse, args: {ms: 20}, on_failure: continue}\n      - {wait: 150ms}\n"
	}
	g.write(t, string(text)+scene)
	g.start(t)
	r.awaitPresence(t, "online")
	r.done(t, "command", r.client.Publish("fieldpost/gw/commands", 1, false, `{"id":"x","device":"night","action":"run"}`))
	eventually(t, 30*time.Second, func() error {
		if len(actuations(t, dir)) == 0 {
			return fmt.Errorf("the scene has not begun")
		}
		return nil
	})
	kills := 0
	for len(actuations(t, dir)) < pulses-1 && kills < 30 {
		time.Sleep(rand.N(400 * time.Millisecond)) // wherever that is
		g.process.kill()
		g.start(t)
		g.awaitUp(t)
		kills++
	}
	status := r.awaitResults(t, pulses+1)
	times := actuations(t, dir)
	unknown := 0
	for i := range pulses {
		id := fmt.Sprint("x/", 2*i+1)
		if status[id] == "unknown-outcome" {
			unknown++
		}
		if times[id] > 1 || times[id] == 0 && status[id] == "done" || status[id] != "done" && status[id] != "unknown-outcome" {
			t.Errorf("%s ended as %q and was carried out %d times", id, status[id], times[id])
		}
	}
	if status["x"] != "done" {
		t.Errorf("the scene ended as %q", status["x"])
	}
	acts, _ := os.ReadFile(filepath.Join(dir, "actuations"))
	last := 0
	for line := range strings.Lines(string(acts)) {
		var step int
		if n, _ := fmt.Sscanf(strings.Fields(line)[1], "x/%d", &step); n == 1 {
			if step <= last {
				t.Errorf("step %d was carried out after step %d", step, last)
			}
			last = step
		}
	}
	t.Logf("%d kills, %d steps of unknown outcome", kills, unknown)
}
