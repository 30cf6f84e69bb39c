//go:build wide

package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// wire joins two pseudo terminals, as a serial line joins two ports.
type wire struct {
	ours, theirs string // names of the ports
	noise        *os.File
}

func newWire(t *testing.T) *wire {
	t.Helper()
	var far, near [2]*os.File
	for i := range far {
		var err error
		if far[i], near[i], err = pty.Open(); err != nil {
			t.Fatal(err)
		}
		makeRaw(t, near[i])
	}
	done := make(chan struct{}, 2)
	for i := range far {
		go func() {
			_, _ = io.Copy(far[1-i], far[i]) // until it is closed
			done <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		for i := range far {
			near[i].Close()
			far[i].Close()
		}
		<-done
		<-done
	})
	return &wire{ours: near[0].Name(), theirs: near[1].Name(), noise: far[0]}
}

// makeRaw lets bytes through as they are until a program sets the port up.
func makeRaw(t *testing.T, f *os.File) {
	t.Helper()
	attributes, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	attributes.Iflag, attributes.Oflag, attributes.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, attributes); err != nil {
		t.Fatal(err)
	}
}

// TestModbusUnitsOfAnother reads and writes units of pymodbus on a serial line,
// one of which is silent, and amid noise.
func TestModbusUnitsOfAnother(t *testing.T) {
	const python = "/usr/bin/python3" // the system's own, which has its packages
	if out, err := exec.Command(python, "-c", "import pymodbus.server, serial_asyncio").CombinedOutput(); err != nil {
		t.Fatalf("install python3-pymodbus and python3-serial-asyncio: %v\n%s", err, out)
	}
	dir := t.TempDir()
	w := newWire(t)
	spawn(t, dir+"/units.log", python, "testdata/modbus_units.py", w.theirs)
	h := startHub(t, dir)
	buses := fmt.Sprintf(`buses:
  field: {type: modbus-rtu, port: %s, baud: 19200, timeout: 300ms}
queue:
`, w.ours)
	devices := `  - id: meter
    driver: modbus
    bus: field
    unit: 3
    every: 200ms
    registers:
      - {name: temperature, table: input, address: 2, type: float32, unit: Cel}
      - {name: open, table: discrete, address: 5}
  - id: boiler
    driver: modbus
    bus: field
    unit: 7
    every: 200ms
    registers:
      - {name: setpoint, address: 4, type: int16, scale: 0.1, unit: Cel, write: {min: 5, max: 120}}
      - {name: pump, table: coil, address: 3, write: {}}
  - {id: gone, driver: modbus, bus: field, unit: 9, every: 200ms, registers: [{name: x, address: 0}]}
  - {id: board,`
	g := newGateway(t, dir, h, "queue:\n", buses, "  - {id: board,", devices)

	latest := func() map[string]string {
		values := make(map[string]string)
		for _, e := range h.events(t) {
			var body struct {
				Readings []struct {
					Device, Name, Unit string
					Value              any
				}
			}
			if json.Unmarshal(e.Body, &body) == nil {
				for _, r := range body.Readings {
					values[r.Device+"."+r.Name] = strings.TrimSpace(fmt.Sprint(r.Value, " ", r.Unit))
				}
			}
		}
		return values
	}
	await := func(want map[string]string) {
		t.Helper()
		eventually(t, time.Minute, func() error {
			got := latest()
			for name, value := range want {
				if got[name] != value {
					return fmt.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}
			return nil
		})
	}
	await(map[string]string{"meter.temperature": "21.5 Cel", "meter.open": "true", "boiler.setpoint": "100.4 Cel", "boiler.pump": "false"})
	if summary := g.awaitCondition(t, "device:gone").condition("device:gone"); !strings.Contains(summary, "gone (modbus on field at unit 9): no answer from unit 9") &&
		!strings.Contains(summary, "no answer from unit 9") {
		t.Errorf("the silent unit: %s", summary)
	}

	// Noise on the line: the units are read on, and commands get through.
	if _, err := w.noise.WriteString("\x00\xff\x03\x03\x02garbage"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program(t, "fieldpost"), "do", "--socket", g.socket(), "boiler", "set", "setpoint=61.5", "pump=true").CombinedOutput()
	if err != nil {
		t.Errorf("set: %v\n%s", err, out)
	}
	await(map[string]string{"boiler.setpoint": "61.5 Cel", "boiler.pump": "true"})
	out, err = exec.Command(program(t, "fieldpost"), "do", "--socket", g.socket(), "boiler", "set", "setpoint=121").CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || !strings.Contains(string(out), "denied") {
		t.Errorf("a value beyond its bounds: %v\n%s", err, out)
	}

	// The silent unit does not cost the others their pace: bench, which nobody
	// holds up, is the clock.
	before := readsOf(t, g)
	eventually(t, time.Minute, func() error {
		if n := readsOf(t, g)["bench"] - before["bench"]; n < 60 {
			return fmt.Errorf("only %d reads", n)
		}
		return nil
	})
	after := readsOf(t, g)
	for _, id := range []string{"meter", "boiler"} { // half as often as bench
		if ours, clock := after[id]-before[id], after["bench"]-before["bench"]; 5*ours < clock {
			t.Errorf("%s was read %d times while bench was %d times", id, ours, clock)
		}
	}
}

func readsOf(t *testing.T, g *gateway) map[string]uint64 {
	t.Helper()
	s, err := g.status()
	if err != nil {
		t.Fatal(err)
	}
	reads := make(map[string]uint64)
	for _, d := range s.Devices {
		reads[d.ID] = d.Reads
	}
	return reads
}
