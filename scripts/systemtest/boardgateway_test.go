//go:build board

package systemtest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// boardGateway is fieldpost on the board. Its hub is on the host, since that
// needs no emulation.
type boardGateway struct {
	*guest
	hub *hub
	// seen is the offset of the last event that has been looked at.
	seen int64
	data string // directory
}

const (
	fieldpost   = "/bin/fieldpost"
	boardConfig = "/var/fieldpost.yaml"
	boardSocket = "/run/fieldpost.sock"
	boardIngest = "/run/ingest.sock"
)

// boardHub starts a hub and makes it known to the board.
func boardHub(t *testing.T, g *guest) *boardGateway {
	t.Helper()
	b := &boardGateway{guest: g, hub: startHub(t, t.TempDir()), seen: -1, data: "/var/data"}
	b.reachHub(t)
	return b
}

// reachHub lets the board find the hub by its name.
func (b *boardGateway) reachHub(t *testing.T) {
	t.Helper()
	b.write(t, "/etc/hosts", "10.0.2.2 localhost\n") // the host's loopback: QEMU's user-mode network
}

// start starts fieldpost with these buses and devices, and waits for it. The end
// of the test stops it, as systemd would.
func (b *boardGateway) start(t *testing.T, config string) {
	t.Helper()
	b.launch(t, config)
	t.Cleanup(func() { b.stop(t) })
}

// launch is start without the end.
func (b *boardGateway) launch(t *testing.T, config string) {
	t.Helper()
	ca, err := os.ReadFile(b.hub.info.CA)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "/var/ca.pem", string(ca))
	b.write(t, boardConfig, fmt.Sprintf(`gateway:
  id: gw
  data_dir: %s
  socket: %s
upstreams:
  - type: iothub
    connection_string: %q
    ca_file: /var/ca.pem
queue:
  max_bytes: 64MB
  min_free: 64MB
  commit: {max_age: 100ms}
batch:
  max_age: 200ms
%s`, b.data, boardSocket, b.hub.device(t, "gw"), config))
	if ended := b.run(t, fieldpost, "check", "--config", boardConfig); ended.Code != 0 {
		t.Fatalf("fieldpost check:\n%s", ended.Output)
	}
	b.call(t, "Start", board.Program{Path: fieldpost, Args: []string{"run", "--config", boardConfig}}, nil)
	eventually(t, time.Minute, func() error {
		_, err := b.status(t)
		return err
	})
}

func (b *boardGateway) stop(t *testing.T) {
	t.Helper()
	var ended board.Ended
	b.call(t, "Stop", board.Program{Path: fieldpost, Within: 30 * time.Second}, &ended)
	if ended.Code != 0 {
		t.Errorf("fieldpost has ended with code %d", ended.Code)
	}
	if t.Failed() {
		t.Logf("--- fieldpost:\n%s", ended.Output)
	}
}

// status asks the running gateway, as a person on the board would.
func (b *boardGateway) status(t *testing.T) (s status, err error) {
	t.Helper()
	ended := b.run(t, fieldpost, "status", "--json", "--socket", boardSocket)
	if ended.Code != 0 {
		return s, fmt.Errorf("fieldpost status: %s", ended.Output)
	}
	return s, json.Unmarshal([]byte(ended.Output), &s)
}

// awaitTrouble waits until a device is in trouble and its reason says all this.
func (b *boardGateway) awaitTrouble(t *testing.T, device string, says ...string) {
	t.Helper()
	b.awaitDevice(t, device, func(state, reason string) bool {
		lacks := func(text string) bool { return !strings.Contains(reason, text) }
		return state != "good" && !slices.ContainsFunc(says, lacks)
	})
}

func (b *boardGateway) awaitGood(t *testing.T, device string) {
	t.Helper()
	b.awaitDevice(t, device, func(state, _ string) bool { return state == "good" })
}

// awaitDevice asks how a device does until that holds.
func (b *boardGateway) awaitDevice(t *testing.T, device string, holds func(state, reason string) bool) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		ended := b.run(t, fieldpost, "devices", device, "--json", "--socket", boardSocket)
		var d struct{ State, Reason string }
		if err := json.Unmarshal([]byte(ended.Output), &d); err != nil {
			return fmt.Errorf("%w: %s", err, ended.Output)
		}
		if !holds(d.State, d.Reason) {
			return fmt.Errorf("device %s is %s: %s", device, d.State, d.Reason)
		}
		t.Logf("device %s is %s: %s", device, d.State, d.Reason)
		return nil
	})
}

// arrived is a reading as the hub has received it.
type arrived struct {
	Device, Name, Unit, Quality string
	Value                       any
	Time                        time.Time
}

// readings are those of one message.
func (e event) readings(t *testing.T) []arrived {
	t.Helper()
	var body struct{ Readings []arrived }
	if err := json.Unmarshal(e.Body, &body); err != nil {
		t.Fatalf("%s: %v", e.Body, err)
	}
	return body.Readings
}

// fresh are the readings that have arrived since it was last called.
func (b *boardGateway) fresh(t *testing.T) (all []arrived) {
	t.Helper()
	for _, e := range b.hub.eventsAfter(t, b.seen) {
		b.seen = e.Offset
		all = append(all, e.readings(t)...)
	}
	return all
}

// await waits until a reading with such a value has arrived.
func (b *boardGateway) await(t *testing.T, device, name string, holds func(value any) bool) {
	t.Helper()
	b.awaitReading(t, device, name, func(r arrived) bool { return holds(r.Value) })
}

func (b *boardGateway) awaitReading(t *testing.T, device, name string, holds func(arrived) bool) {
	t.Helper()
	var last any = "none"
	eventually(t, time.Minute, func() error {
		for _, r := range b.fresh(t) {
			if r.Device == device && r.Name == name {
				if last = r; holds(r) {
					return nil
				}
			}
		}
		return fmt.Errorf("%s %s: the last reading is %v", device, name, last)
	})
}

// near tells whether a value is a number within a hundredth of what is wanted.
func near(want float64) func(any) bool {
	return func(value any) bool {
		got, is := value.(float64)
		return is && got > want-0.01 && got < want+0.01
	}
}

// is tells whether a value is this one.
func is(want any) func(any) bool { return func(value any) bool { return value == want } }
