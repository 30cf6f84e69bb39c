//go:build board

package systemtest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// boardLines are the lines of the board's GPIO chip, by their offsets.
var boardLines = []string{"DOOR", "FLOW", "PUMP", "VALVE"}

// addLines makes the GPIO chip of the board, with the kernel's simulator.
func (g *guest) addLines(t testing.TB) {
	t.Helper()
	const chip = "/sys/kernel/config/gpio-sim/board"
	g.write(t, chip+"/bank0/", "")
	g.write(t, chip+"/bank0/num_lines", fmt.Sprint(len(boardLines)))
	g.write(t, chip+"/bank0/label", "board")
	for i, name := range boardLines {
		line := fmt.Sprintf("%s/bank0/line%d/", chip, i)
		g.write(t, line, "")
		g.write(t, line+"name", name)
	}
	g.write(t, chip+"/live", "1")
}

// line is the far side of a line: what the simulator shows and drives.
func (g *guest) line(t testing.TB, name, attribute string) string {
	t.Helper()
	for i, n := range boardLines {
		if n == name {
			return g.find(t, fmt.Sprintf("/sys/devices/platform/gpio-sim.*/gpiochip*/sim_gpio%d/%s", i, attribute))
		}
	}
	t.Fatalf("the board has no line %s", name)
	return ""
}

// drive lets what hangs on a line pull it up or down.
func (g *guest) drive(t testing.TB, name string, high bool) {
	t.Helper()
	g.toggle(t, name, high, 1, 0)
}

// toggle drives a line high or low first, and the other way the next time.
func (g *guest) toggle(t testing.TB, name string, high bool, times int, period time.Duration) {
	t.Helper()
	pulls := [2]string{"pull-down", "pull-up"}
	if high {
		pulls[0], pulls[1] = pulls[1], pulls[0]
	}
	g.call(t, "Toggle", board.Toggle{Path: g.line(t, name, "pull"), Texts: pulls, Times: times, Period: period}, nil)
}

// level is what somebody at the far side of a line measures: 0 or 1.
func (g *guest) level(t testing.TB, name string) string {
	t.Helper()
	return g.read(t, g.line(t, name, "value"))
}

// awaitLevel waits for the level at the far side of a line.
func (g *guest) awaitLevel(t testing.TB, name, want string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		if got := g.level(t, name); got != want {
			return fmt.Errorf("line %s is at %s, want %s", name, got, want)
		}
		return nil
	})
}

// recordLines has the kernel record from now on what levels lines are given.
func (g *guest) recordLines(t testing.TB) {
	t.Helper()
	g.write(t, "/sys/kernel/tracing/events/gpio/enable", "1")
	g.write(t, "/sys/kernel/tracing/trace", "")
}

// switched are the changes of the level that a line was given, such as 010, by the
// kernel's record. The chip is named by the device that it belongs to.
func (g *guest) switched(t testing.TB, chip string, offset int) (levels string) {
	t.Helper()
	lines := regexp.MustCompile(`GPIOs (\d+)-\d+, parent: platform/` + regexp.QuoteMeta(chip))
	first := lines.FindStringSubmatch(g.read(t, "/sys/kernel/debug/gpio"))
	if first == nil {
		t.Fatalf("the kernel has no chip %s", chip)
	}
	base, err := strconv.Atoi(first[1])
	if err != nil {
		t.Fatal(err)
	}
	given := regexp.MustCompile(fmt.Sprintf(`gpio_value: %d set ([01])`, base+offset))
	for _, m := range given.FindAllStringSubmatch(g.read(t, "/sys/kernel/tracing/trace"), -1) {
		if !strings.HasSuffix(levels, m[1]) {
			levels += m[1]
		}
	}
	return levels
}

// boardRelay switches relays from the board and from the hub; the kernel tells
// what their lines were given, up to the stop.
func boardRelay(t *testing.T, b *boardGateway) {
	b.recordLines(t)
	t.Run("on the line", func(t *testing.T) {
		b.start(t, `devices:
  - {id: pump, driver: relay, line: PUMP, every: 1s}
  - {id: valve, driver: relay, line: VALVE, active_low: true, every: 1s}
`)
		b.await(t, "pump", "on", is(false))
		b.awaitLevel(t, "PUMP", "0")
		b.awaitLevel(t, "VALVE", "1")

		if ended := b.run(t, fieldpost, "do", "--socket", boardSocket, "pump", "on"); ended.Code != 0 {
			t.Errorf("fieldpost do pump on: %s", ended.Output)
		}
		b.awaitLevel(t, "PUMP", "1")
		b.await(t, "pump", "on", is(true))

		if err := b.hub.sendC2D("gw", "open", `{"device":"valve","action":"on"}`); err != nil {
			t.Fatal(err)
		}
		b.awaitLevel(t, "VALVE", "0")
		b.await(t, "valve", "on", is(true))
	})
	for name, want := range map[string]string{"PUMP": "010", "VALVE": "101"} {
		if got := b.switched(t, "gpio-sim", slices.Index(boardLines, name)); got != want {
			t.Errorf("line %s was given %q, want %q: its safe state first and last", name, got, want)
		}
	}
}

// boardInputs watches a contact that bounces, and counts the pulses of a meter
// over a restart.
func boardInputs(t *testing.T, b *boardGateway) {
	const (
		config = `devices:
  - {id: door, driver: gpio-input, kind: contact, line: DOOR, debounce: 1s, report_every: 1s}
  - {id: flow, driver: gpio-input, kind: counter, line: FLOW, report_every: 1s, per_pulse: 0.5, unit: l}
`
		pulses = 500
	)
	b.drive(t, "DOOR", true)
	b.drive(t, "FLOW", true)
	t.Run("watch", func(t *testing.T) {
		b.start(t, config)
		b.await(t, "door", "open", is(true))
		b.toggle(t, "DOOR", false, 21, time.Millisecond) // the last is that it closes
		b.await(t, "door", "open", is(false))
		b.toggle(t, "DOOR", true, 20, time.Millisecond) // it shakes, and stays closed
		b.toggle(t, "FLOW", false, 2*pulses, 0)
		b.await(t, "flow", "rate", func(v any) bool { return v.(float64) > 0 })
		b.drive(t, "DOOR", true)
		b.await(t, "door", "open", is(true))
	})
	var told []any // how the door has changed
	for _, e := range b.hub.events(t) {
		for _, r := range e.readings(t) {
			if r.Device == "door" && r.Name == "open" && (len(told) == 0 || told[len(told)-1] != r.Value) {
				told = append(told, r.Value)
			}
		}
	}
	if want := []any{true, false, true}; !slices.Equal(told, want) {
		t.Errorf("the door was told to be open: %v, want %v", told, want)
	}
	t.Run("count on", func(t *testing.T) {
		b.start(t, config)
		b.await(t, "flow", "count", is(float64(pulses)))
		b.await(t, "flow", "total", is(float64(pulses)/2))
	})
}
