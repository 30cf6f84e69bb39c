package systemtest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestChildDevices: sensor nodes with identities of their own behind one
// gateway. Each sends as itself and is reached through its own identity, and
// the gateway goes on while one of them is refused.
func TestChildDevices(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	h.addDevice(t, "node7")
	h.addDevice(t, "node8")
	children := fmt.Sprintf(`    children:
      - {lane: node7, connection_string: %q}
      - {lane: node8, connection_string: %q}
queue:
`, h.connectionString(t, "node7"), strings.Replace(h.connectionString(t, "node8"), "SharedAccessKey=", "SharedAccessKey=AAAA", 1))
	g := newGateway(t, dir, h, "queue:\n", children,
		"  - {id: board,", "  - {id: valve, driver: sim, every: 200ms, lane: node7}\n  - {id: lost, driver: sim, every: 200ms, lane: node8}\n  - {id: board,")

	from := func(device, lane string) int {
		n := 0
		for _, e := range h.events(t) {
			if e.System["iothub-connection-device-id"] == device && e.Properties["lane"] == lane {
				n++
			}
		}
		return n
	}
	eventually(t, time.Minute, func() error {
		if own, child := from("gw", "telemetry"), from("node7", "node7"); own < 3 || child < 3 {
			return fmt.Errorf("%d messages of the gateway, %d of its child", own, child)
		}
		return nil
	})
	if n := from("gw", "node7") + from("node7", "telemetry") + from("gw", "node8"); n > 0 {
		t.Errorf("%d messages left under another identity", n)
	}

	answer := func(device, id string) (found string) {
		for _, e := range h.events(t) {
			if e.Properties["kind"] == "result" && e.System["correlation-id"] == id && e.System["iothub-connection-device-id"] == device {
				found = string(e.Body)
			}
		}
		return found
	}
	for _, c := range []struct{ to, id, body, want string }{
		{"node7", "1", `{"device":"valve","action":"relay","args":{"on":true}}`, `"done"`},
		{"gw", "1", `{"device":"bench","action":"relay","args":{"on":true}}`, `"done"`},
		{"node7", "2", `{"device":"bench","action":"relay","args":{"on":true}}`, `"denied"`},
		{"gw", "3", `{"device":"valve","action":"relay","args":{"on":true}}`, `"denied"`},
	} {
		if err := h.sendC2D(c.to, c.id, c.body); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, func() error {
			if got := answer(c.to, c.id); !strings.Contains(got, c.want) {
				return fmt.Errorf("command %s to %s is answered %q, want %s", c.id, c.to, got, c.want)
			}
			return nil
		})
	}
	eventually(t, time.Minute, func() error {
		s, err := g.status()
		if err != nil {
			return err
		}
		for _, c := range s.Conditions {
			if c.Code == "uplink-refused:node8" {
				return nil
			}
		}
		return fmt.Errorf("conditions %+v, want uplink-refused:node8", s.Conditions)
	})
}
