//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	burstCommands = 10_000
	burstDevices  = 7
	// burstMemory is what the gateway may take at most, mapped files included.
	burstMemory = 96 << 20
)

// TestBurstOfCommands: a broker hands over ten thousand commands as fast as it can, of
// many sizes, for eight devices of which one is slow. Far fewer may wait than come, so
// most are left unacknowledged with the broker. Each is carried out once, those of a
// device in order, and answered once; and the memory of the gateway stays bounded.
func TestBurstOfCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := startMosquitto(t, dir, "max_queued_messages 0", "max_inflight_messages 0")
	r := startReceiver(t, m)
	var devices strings.Builder
	for _, id := range burstNames() {
		fmt.Fprintf(&devices, "  - {id: %s, driver: sim, every: 1h, actuations: %s/%[1]s}\n", id, dir)
	}
	g := prepareGatewayFor(t, dir, m.upstream(), "  - {id: board, driver: sysfs, every: 500ms}\n", devices.String(),
		"  max_bytes: 128MB\n", "  max_bytes: 128MB\n  journal: 20000\n", "batch:\n", "commands: {max_waiting: 64}\nbatch:\n")
	g.start(t)
	r.awaitPresence(t, "online")
	want := sendBurst(t, r)
	g.awaitCondition(t, "command-backlog")

	status := r.awaitResults(t, burstCommands)
	for id, w := range want {
		if status[id] != w.status {
			t.Errorf("%s ended as %q, want %s", id, status[id], w.status)
		}
	}
	answers := make(map[string]int)
	for _, e := range r.all() {
		var result struct{ Repeated bool }
		if err := json.Unmarshal(e.Body, &result); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "result" && !e.again && !result.Repeated {
			answers[e.Correlation]++
		}
	}
	for id := range want {
		if answers[id] != 1 {
			t.Errorf("%s was answered %d times", id, answers[id])
		}
	}
	judgeBurst(t, dir, want)
	if peak := peakMemory(t, g); peak > burstMemory {
		t.Errorf("the gateway took %d MB, want %d at most", peak>>20, burstMemory>>20)
	} else {
		t.Logf("the gateway took %d MB", peak>>20)
	}
}

func burstNames() (names []string) {
	for i := range burstDevices {
		names = append(names, "fast"+strconv.Itoa(i))
	}
	return append(names, "slow")
}

// expected is what is to become of one command.
type expected struct{ device, status string }

// sendBurst sends the commands: one in a hundred for the slow device, and one in
// fifty that is large and wrong.
func sendBurst(t *testing.T, r *receiver) map[string]expected {
	t.Helper()
	want := make(map[string]expected)
	tokens := make([]paho.Token, 0, burstCommands)
	for n := range burstCommands {
		id := fmt.Sprintf("c%05d", n)
		w, args := expected{"fast" + strconv.Itoa(n%burstDevices), "done"}, `{"ms":1}`
		switch {
		case n%100 == 0:
			w.device, args = "slow", `{"ms":100}`
		case n%50 == 1:
			w.status, args = "denied", fmt.Sprintf(`{"ms":1,"note":%q}`, strings.Repeat("x", n%100*300))
		}
		want[id] = w
		body := fmt.Sprintf(`{"id":%q,"device":%q,"action":"pulse","args":%s}`, id, w.device, args)
		tokens = append(tokens, r.client.Publish("fieldpost/gw/commands", 1, false, body))
	}
	for _, token := range tokens {
		r.done(t, "burst", token)
	}
	return want
}

// judgeBurst looks at what each device has done.
func judgeBurst(t *testing.T, dir string, want map[string]expected) {
	t.Helper()
	for _, device := range burstNames() {
		var due, did []string
		for id, w := range want {
			if w.device == device && w.status == "done" {
				due = append(due, id)
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, device))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); fields[2] == "pulse" {
				did = append(did, fields[1])
			}
		}
		if slices.Sort(due); !slices.Equal(did, due) {
			t.Errorf("%s has done %d things, want the %d that it was sent, once each and in order", device, len(did), len(due))
		}
	}
}

// peakMemory is the most that the gateway has had resident.
func peakMemory(t *testing.T, g *gateway) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
