//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestKilledWhileReloading: commands come in while the config changes again and again,
// and the gateway is killed amid that. Each command has exactly one final state, none is
// done twice, and after each start the outputs are safe and what is in force is whole.
func TestKilledWhileReloading(t *testing.T) {
	t.Parallel()
	const rounds, each = 8, 5
	p := startPumps(t)
	dir := t.TempDir()
	h := startHub(t, dir)
	buses := "buses:\n  plant: {type: modbus-tcp, address: \"" + p.address + "\"}\nqueue:\n"
	g := newGateway(t, dir, h, "queue:\n", buses, "devices:\n", "devices:\n"+pump("pump", 0))
	g.awaitConnected(t)
	text, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	others := []string{pump("pump", 0), pump("pump", 1), pump("pump", 0) + pump("fan", 2), ""}
	var sent []string
	for round := range rounds {
		for i := range each {
			id := fmt.Sprintf("c%d-%d", round, i)
			if err := h.sendC2D("gw", id, `{"device":"bench","action":"pulse","args":{"ms":30}}`); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, id)
		}
		_, _ = g.api.Post("http://fieldpost/v1/do", "application/json", strings.NewReader(`{"device":"pump","action":"set","args":{"on":true}}`))
		g.write(t, edited(t, string(text), pump("pump", 0), others[round%len(others)]))
		reloaded := make(chan struct{})
		go func() {
			defer close(reloaded)
			if resp, err := g.api.Post("http://fieldpost/v1/reload", "application/json", nil); err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("round %d: reload: %s", round, resp.Status)
				}
			}
		}()
		time.Sleep(rand.N(40 * time.Millisecond)) // somewhere in it
		g.process.kill()
		<-reloaded
		g.afterStop(t)
		for coil := range 3 {
			p.await(t, coil, false)
		}
		g.start(t)
		g.awaitConnected(t)
	}
	finals := make(map[string]map[string]bool) // message ids by command
	eventually(t, time.Minute, func() error {
		for _, e := range h.events(t) {
			var body struct{ Repeated bool }
			if e.Properties["kind"] != "result" || json.Unmarshal(e.Body, &body) != nil || body.Repeated {
				continue
			}
			id := e.System["correlation-id"]
			if finals[id] == nil {
				finals[id] = make(map[string]bool)
			}
			finals[id][e.System["message-id"]] = true
		}
		for _, id := range sent {
			if len(finals[id]) == 0 {
				return fmt.Errorf("%s has no final state", id)
			}
		}
		return nil
	})
	for id, results := range finals {
		if len(results) != 1 {
			t.Errorf("%s has %d final states", id, len(results))
		}
	}
	done, err := os.ReadFile(dir + "/actuations")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range sent {
		if n := strings.Count(string(done), " "+id+" "); n > 1 {
			t.Errorf("%s was done %d times", id, n)
		}
	}
	t.Logf("%d of %d commands done, the others have an unknown outcome", strings.Count(string(done), " pulse "), len(sent))
	judgeAudit(t, h)
}
