//go:build wide

package systemtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// resultOf waits for the result of a command at the hub.
func (h *hub) resultOf(t *testing.T, id string) (body string) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		for _, e := range h.events(t) {
			if body = string(e.Body); strings.Contains(body, fmt.Sprintf(`"command":%q`, id)) {
				return nil
			}
		}
		return fmt.Errorf("no result of %s has come", id)
	})
	return body
}

// hasEvent waits until an event with these words is at the hub.
func (h *hub) hasEvent(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		for _, e := range h.events(t) {
			lacks := func(word string) bool { return !strings.Contains(string(e.Body), word) }
			if e.Properties["kind"] == "event" && !slices.ContainsFunc(words, lacks) {
				return nil
			}
		}
		return fmt.Errorf("no event with %q has come", words)
	})
}

// TestInterlock: what a pump needs holds for commands of the hub, for other devices,
// and for safe states, in the order in which they are taken; and a fan goes off when
// the hub is gone, which hears of it afterwards.
func TestInterlock(t *testing.T) {
	t.Parallel()
	p := startPumps(t)
	dir := t.TempDir()
	h := startHub(t, dir)
	with := func(device, terms string) string { return strings.Replace(device, "}\n", ", "+terms+"}\n", 1) }
	g := newGateway(t, dir, h,
		"queue:\n", "buses:\n  plant: {type: modbus-tcp, address: \""+p.address+"\"}\nqueue:\n",
		"devices:\n", "devices:\n"+with(pump("pump", 0), "only_while: valve.on")+pump("valve", 1)+with(pump("fan", 2), "safe_after: {link_lost: 2s}"))
	g.awaitConnected(t)
	ask := func(id, device string, on bool, wants ...string) {
		t.Helper()
		if err := h.sendC2D("gw", id, fmt.Sprintf(`{"device":%q,"action":"set","args":{"on":%t}}`, device, on)); err != nil {
			t.Fatal(err)
		}
		wantAll(t, id, h.resultOf(t, id), wants...)
	}
	run := func(id string) {
		t.Helper()
		ask(id+"-valve", "valve", true, `"status":"done"`)
		ask(id+"-pump", "pump", true, `"status":"done"`)
		p.changed()
	}
	order := func(when string) {
		t.Helper()
		p.await(t, 1, false)
		if got := p.changed(); !slices.Equal(got, []string{"0 false", "1 false"}) {
			t.Errorf("%s: the coils changed %v; want the pump off, then the valve", when, got)
		}
	}

	ask("early", "pump", true, `"status":"denied"`, "pump may only be away from its safe state while `valve.on`", "valve.on is false")
	run("first")
	ask("dry", "valve", false, `"status":"denied"`, "only_while of pump", "bring pump into its safe state first")
	p.await(t, 1, true)
	g.tool(t, 0, "safe", "valve", "--config", g.config)
	order("safe")

	run("second")
	g.tool(t, 0, "do", "gateway", "override", "device=pump", "minutes=5")
	ask("remote", "pump", false, `"status":"denied"`, "manual control on site")
	ask("fan-on", "fan", true, `"status":"done"`)
	h.process.kill()
	p.await(t, 2, false)
	p.await(t, 0, true)
	wantAll(t, "status", g.tool(t, 0, "status"), "made-safe:fan", "no session with the hub for 2s (safe_after.link_lost)", "pump is under manual control until")
	wantAll(t, "devices", g.tool(t, 0, "devices", "fan"), "outputs   on false; in its safe state")
	p.changed()
	if code := g.process.terminate(t, 10*time.Second); code != 0 {
		t.Errorf("the gateway has ended with code %d", code)
	}
	order("stop")

	g.start(t)
	h.restart(t)
	g.awaitConnected(t)
	ask("still", "pump", true, `"status":"denied"`, "manual control on site")
	g.tool(t, 0, "do", "gateway", "release", "device=pump")
	run("third")
	h.hasEvent(t, `"device":"pump"`, `"cause":"only_while"`, `"outputs":{"on":false}`)
	h.hasEvent(t, `"device":"fan"`, `"cause":"safe_after.link_lost"`, `"outputs":{"on":false}`)
}
