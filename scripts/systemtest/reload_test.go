//go:build wide

package systemtest

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReloadWhileAllGoesOn: pumps on a bus and commands from the hub. The pump that
// stays runs on over every change, on the same connection; those that are taken out,
// or are others, stop; a wrong file changes nothing; each command of the hub is done
// once and answered once.
func TestReloadWhileAllGoesOn(t *testing.T) {
	t.Parallel()
	p := startPumps(t)
	dir := t.TempDir()
	h := startHub(t, dir)
	buses := "buses:\n  plant: {type: modbus-tcp, address: \"" + p.address + "\"}\nqueue:\n"
	g := newGateway(t, dir, h, "queue:\n", buses, "devices:\n", "devices:\n"+pump("pump", 0)+pump("fan", 1))
	g.awaitConnected(t)
	for coil, device := range []string{"pump", "fan"} {
		g.tool(t, 0, "do", device, "set", "on=true")
		p.await(t, coil, true)
	}
	const commands = 30
	sent := make(chan error, 1)
	go func() {
		for n := range commands {
			if err := h.sendC2D("gw", fmt.Sprint("c", n), `{"device":"bench","action":"pulse","args":{"ms":50}}`); err != nil {
				sent <- err
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		sent <- nil
	}()

	g.edit(t, pump("fan", 1), pump("mixer", 2), "every: 500ms", "every: 400ms")
	wantAll(t, "reload", g.tool(t, 0, "reload"), "new: mixer", "removed: fan", "with other settings: board")
	p.await(t, 1, false)
	g.tool(t, 0, "do", "mixer", "set", "on=true")
	p.await(t, 2, true)

	g.edit(t, pump("mixer", 2), pump("mixer", 3))
	wantAll(t, "reload", g.tool(t, 0, "reload"), "opened anew: mixer")
	p.await(t, 2, false)

	good, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	g.edit(t, "driver: sysfs", "driver: sisfs")
	wantAll(t, "a wrong file", g.tool(t, 78, "reload"), "fieldpost.yaml:", "devices[board].driver: ", "did you mean sysfs?")
	g.write(t, strings.ReplaceAll(string(good), "id: gw", "id: other"))
	wantAll(t, "another id", g.tool(t, 1, "reload"), "gateway.id, which takes a restart")
	if err := g.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.awaitCondition(t, "config-refused")
	g.write(t, string(good))
	if err := g.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() error {
		s, err := g.status()
		if err == nil && s.condition("config-refused") != "" {
			err = fmt.Errorf("conditions %v", s.Conditions)
		}
		return err
	})

	if n := p.connections(); n != 1 {
		t.Errorf("%d connections to the pumps, want the first one only", n)
	}
	g.edit(t, "    ca_file:", "    keep_alive: 50s\n    ca_file:")
	wantAll(t, "reload", g.tool(t, 0, "reload"), "the connection to the upstream is made anew")
	g.awaitConnected(t)
	p.await(t, 0, true)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	answers := make(map[string]int)
	eventually(t, 20*time.Second, func() error {
		clear(answers)
		seen := make(map[string]bool) // a message may come again, with the same id
		for _, e := range h.events(t) {
			if e.Properties["kind"] == "result" && strings.Contains(string(e.Body), `"done"`) && !seen[e.System["message-id"]] {
				seen[e.System["message-id"]] = true
				answers[e.System["correlation-id"]]++
			}
		}
		for n := range commands {
			if answers[fmt.Sprint("c", n)] == 0 {
				return fmt.Errorf("no answer to command %d of %d", n, commands)
			}
		}
		return nil
	})
	for id, n := range answers {
		if n != 1 {
			t.Errorf("%d answers to %s", n, id)
		}
	}
	done, err := os.ReadFile(dir + "/actuations")
	if n := strings.Count(string(done), " pulse "); err != nil || n != commands {
		t.Errorf("%d pulses for %d commands (%v)", n, commands, err)
	}
	judgeAudit(t, h)
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("the gateway has ended with code %d", code)
	}
}
