//go:build wide

package systemtest

import (
	"os/exec"
	"testing"
	"time"
)

// afterStop is what systemd runs once the gateway has ended, however it has.
func (g *gateway) afterStop(t *testing.T) {
	t.Helper()
	args, began := afterStop(t, g.config), time.Now()
	out, err := exec.Command(program(t, "fieldpost"), args...).CombinedOutput()
	t.Logf("%v after %v: %s", args, time.Since(began).Round(time.Millisecond), out)
	if err != nil {
		t.Errorf("fieldpost %v: %v", args, err)
	}
}

// TestPumpIsOffAfterAKill: a pump whose gateway is killed is switched off by what
// systemd does then, and by the next start alone, too.
func TestPumpIsOffAfterAKill(t *testing.T) {
	t.Parallel()
	p := startPumps(t)
	dir := t.TempDir()
	buses := "buses:\n  plant: {type: modbus-tcp, address: \"" + p.address + "\"}\nqueue:\n"
	g := newGateway(t, dir, startHub(t, dir), "queue:\n", buses, "devices:\n", "devices:\n"+pump("pump", 0)+pump("fan", 1))
	run := func() {
		t.Helper()
		g.awaitUp(t)
		for coil, device := range []string{"pump", "fan"} {
			g.tool(t, 0, "do", device, "set", "on=true")
			p.await(t, coil, true)
		}
	}

	run()
	g.process.kill()
	p.await(t, 0, true) // nobody else switches it off
	g.afterStop(t)
	p.await(t, 0, false)
	p.await(t, 1, false)

	// The next start does so too, before it can be asked for anything.
	g.start(t)
	run()
	g.process.kill()
	g.start(t)
	p.await(t, 0, false)
	p.await(t, 1, false)

	// What ran counts, not what the file says by now.
	run()
	g.edit(t, pump("pump", 0), "", "batch:", "bacht: {}\nbatch:")
	g.process.kill()
	g.afterStop(t)
	p.await(t, 0, false)
	p.await(t, 1, false)

	// A gateway that runs is asked, and goes on.
	g.edit(t, "bacht: {}\n", "")
	g.start(t)
	g.awaitUp(t)
	g.tool(t, 0, "do", "fan", "set", "on=true")
	g.tool(t, 0, "safe", "fan", "--config", g.config)
	p.await(t, 1, false)
	g.tool(t, 0, "do", "fan", "set", "on=true")
	p.await(t, 1, true)
	if code := g.process.terminate(t, 10*time.Second); code != 0 {
		t.Errorf("the gateway has ended with code %d", code)
	}
	p.await(t, 1, false)
}
