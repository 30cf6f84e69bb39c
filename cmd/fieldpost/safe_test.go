package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

func TestSafeWithoutAGateway(t *testing.T) {
	b := newBoard(t)
	out, _ := b.want(t, exitOK, "safe")
	wantText(t, "all", out, "safe  bench (sim)\n")

	b.withDevices(t, "  - {id: board, driver: sysfs}\n  - {id: bench, driver: sim}\n"+
		"  - {id: pump, driver: relay, chip: gpiochip99, line: \"17\"}\n  - {id: lamp, driver: sim}\n")
	out, errs := b.want(t, exitFailed, "safe")
	wantText(t, "one that is not there", out, "safe    bench (sim)\nFAILED  pump (relay on ", "safe    lamp (sim)\n")
	wantText(t, "the error", errs, "1 of 3 outputs are not known to be in their safe state")
	out, _ = b.want(t, exitOK, "safe", "lamp", "--json")
	var states []service.SafeState
	if err := json.Unmarshal([]byte(out), &states); err != nil || len(states) != 1 || states[0].Device != "lamp" || states[0].Error != "" {
		t.Errorf("one alone: %s (%v)", out, err)
	}
	_, errs = b.want(t, exitFailed, "safe", "board")
	wantText(t, "a sensor", errs, `there is no output "board"`)
	b.want(t, exitUsage, "safe", "--within", "0s")
}

// TestSafeTakesDependentsFirst: a pump stops before the valve closes that it leans on.
func TestSafeTakesDependentsFirst(t *testing.T) {
	b := newBoard(t)
	file := filepath.Join(b.dir, "actuations")
	b.withDevices(t, fmt.Sprintf(`  - {id: valve, driver: sim, safe: on, actuations: %[1]s}
  - {id: pump, driver: sim, safe: off, actuations: %[1]s, only_while: not valve.relay and board.temperature > 0}
  - {id: board, driver: sysfs}
`, file))
	out, _ := b.want(t, exitOK, "safe")
	wantText(t, "both", out, "safe  pump (sim)\nsafe  valve (sim)\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if pump, valve := strings.LastIndex(string(text), "safe off"), strings.Index(string(text), "safe on"); pump < 0 || valve < pump {
		t.Errorf("the valve did not wait for the pump:\n%s", text)
	}
}

// TestSafeMakesTheBestOfAFile that cannot be read whole.
func TestSafeMakesTheBestOfAFile(t *testing.T) {
	b := newBoard(t)
	b.withDevices(t, "  - {id: bench, driver: sim, nosie: 1}\n  - {id: lamp, driver: sim}\n")
	out, errs := b.want(t, exitConfig, "safe")
	wantText(t, "what can be read", out, "safe  lamp (sim)\n")
	wantText(t, "what cannot", errs, "devices[bench].nosie")
	if strings.Contains(out, "bench") {
		t.Errorf("a device that is not understood was opened: %s", out)
	}
	if err := os.WriteFile(b.config, []byte("gateway: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.want(t, exitConfig, "safe")
}

// TestSafeGoesByWhatWasInForce, whatever the file says since.
func TestSafeGoesByWhatWasInForce(t *testing.T) {
	b := newBoard(t)
	text, err := os.ReadFile(b.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "data", "in-force.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	b.withDevices(t, "  - {id: lamp, driver: nothing}\n")
	out, _ := b.want(t, exitOK, "safe")
	wantText(t, "what was in force", out, "safe  bench (sim)\n")
}

// TestSafeAsksTheGateway that runs, and leaves its devices to it.
func TestSafeAsksTheGateway(t *testing.T) {
	b := newBoard(t)
	var asked service.SafeRequest
	b.answer(t, "POST /v1/safe", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&asked)
		_ = json.NewEncoder(w).Encode([]service.SafeState{{Device: "bench", Label: "bench (sim)", Error: "it does not answer"}})
	})
	out, _ := b.want(t, exitFailed, "safe", "bench")
	wantText(t, "its answer", out, "FAILED  bench (sim)  it does not answer\n")
	if asked.Device != gateway.DeviceID("bench") {
		t.Errorf("asked for %q", asked.Device)
	}
	b.withDevices(t, "  - {id: bench, driver: nothing}\n") // which is not in force yet
	_, errs := b.want(t, exitFailed, "safe")
	if strings.Contains(errs, "nothing") {
		t.Errorf("the file counts, though the gateway runs: %s", errs)
	}
}
