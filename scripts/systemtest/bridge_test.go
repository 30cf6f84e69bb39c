//go:build bridge

package systemtest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// gapRecord is a gap record about readings, and outcome a result of a command.
type gapRecord struct {
	Device, Reason     string
	First, Last, Count uint64
}

type outcome struct {
	Status, Detail string
	Values         map[string]any
}

// told is a reading of the microcontroller as the hub has it.
type told struct {
	Device, Name string
	Value        any
	Seq          uint64
}

// toldBy collects what the hub has of a device, and the gap records about it.
type toldBy struct {
	after    int64
	readings []told
	gaps     []gapRecord
}

// more takes in what has come since.
func (b *toldBy) more(t testing.TB, h *hub) {
	t.Helper()
	for _, e := range h.eventsAfter(t, b.after) {
		b.after = e.Offset
		switch e.Properties["kind"] {
		case "gap":
			var g gapRecord
			if err := json.Unmarshal(e.Body, &g); err != nil {
				t.Error(err)
			}
			if g.Device == "node" {
				b.gaps = append(b.gaps, g)
			}
		case "telemetry":
			var body struct{ Readings []told }
			if err := json.Unmarshal(e.Body, &body); err != nil {
				t.Error(err)
			}
			for _, r := range body.Readings {
				if r.Device == "node" {
					b.readings = append(b.readings, r)
				}
			}
		}
	}
}

// last is the latest value of a quantity; nil if it has none.
func (b *toldBy) last(name string) (value any) {
	for _, r := range b.readings {
		if r.Name == name {
			value = r.Value
		}
	}
	return value
}

// await waits until the hub has a value of a quantity.
func (b *toldBy) await(t testing.TB, h *hub, name string, fits func(any) bool) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if b.more(t, h); !fits(b.last(name)) {
			return fmt.Errorf("%s is %v", name, b.last(name))
		}
		return nil
	})
}

func equals(want any) func(any) bool { return func(got any) bool { return got == want } }

// awaitResult waits for the result of a command.
func (h *hub) awaitResult(t testing.TB, id string) (r outcome) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		for _, e := range h.events(t) {
			if e.Properties["kind"] == "result" && e.System["correlation-id"] == id {
				return json.Unmarshal(e.Body, &r)
			}
		}
		return fmt.Errorf("no result of %s", id)
	})
	return r
}

// TestBridge: machine code of an ATmega328P in a simulator, its UART at the real gateway.
// What it measures is at the hub; what the hub asks for moves its pins; a reset and a
// hang are noticed, told and survived, and outputs are safe then.
func TestBridge(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	c := newChip(t, dir, readBuilt(t, "node-test.bin"))
	c.powerUp(t)
	c.order(t, "adc 0 2500")
	g := newGateway(t, dir, h, "devices:\n", c.mcuDevice(", statistics: 2s"))
	g.awaitConnected(t)
	var b toldBy
	near := func(want float64) func(any) bool {
		return func(got any) bool { x, _ := got.(float64); return x > want-0.05 && x < want+0.05 }
	}
	b.await(t, h, "a0", near(2.5))
	b.await(t, h, "firmware", equals("node 1.0.0"))
	c.order(t, "adc 0 1250")
	c.order(t, "pin D2 0")
	b.await(t, h, "a0", near(1.25))
	b.await(t, h, "count2", equals(1.0))

	ask := func(id, body string) outcome {
		t.Helper()
		if err := h.sendC2D("gw", id, body); err != nil {
			t.Fatal(err)
		}
		return h.awaitResult(t, id)
	}
	if r := ask("on", `{"device":"node","action":"out1","args":{"on":true}}`); r.Status != "done" || r.Values["on"] != true {
		t.Errorf("%+v", r)
	}
	c.await(t, "out B5 1", 1)
	if r := ask("interval", `{"device":"node","action":"change-settings","args":{"interval":200}}`); r.Status != "done" {
		t.Errorf("%+v", r)
	}
	if r := ask("bad", `{"device":"node","action":"out1","args":{"on":3}}`); r.Status != "denied" {
		t.Errorf("%+v", r)
	}

	c.order(t, "reset")
	b.await(t, h, "link.reset", equals("reset pin"))
	b.await(t, h, "setting.interval", equals(200.0))
	if r := ask("again", `{"device":"node","action":"out1","args":{"on":true}}`); r.Status != "done" {
		t.Errorf("after a reset: %+v", r)
	}
	c.await(t, "out B5 1", 2) // so it was off meanwhile
	if r := ask("hang", `{"device":"node","action":"hang"}`); r.Status != "failed" {
		t.Errorf("it hangs: %+v", r)
	}
	b.await(t, h, "link.reset", equals("watchdog"))
	if r := ask("once-more", `{"device":"node","action":"out1","args":{"on":true}}`); r.Status != "done" {
		t.Errorf("after a hang: %+v", r)
	}
	c.await(t, "out B5 1", 3)
	resets := 0
	for _, gap := range b.gaps {
		if gap.Reason == "reset" && gap.First > 1 && gap.Last == 0 {
			resets++
		}
	}
	if resets != 2 || resets != len(b.gaps) {
		t.Errorf("the hub was told of %+v, want two resets", b.gaps)
	}

	c.order(t, "unplug")
	g.awaitCondition(t, "device:node")
	c.order(t, "plug")
	eventually(t, 30*time.Second, func() error {
		s, err := g.status()
		if err == nil && s.condition("device:node") != "" {
			err = fmt.Errorf("%s", s.condition("device:node"))
		}
		return err
	})
	if r := ask("plugged", `{"device":"node","action":"out2","args":{"on":true}}`); r.Status != "done" {
		t.Errorf("plugged in again: %+v", r)
	}
	if code := g.process.terminate(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.await(t, "out B4 0", 1)
}
