//go:build board

package systemtest

import (
	"fmt"
	"testing"
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
	pull := "pull-down"
	if high {
		pull = "pull-up"
	}
	g.write(t, g.line(t, name, "pull"), pull)
}

// level is what somebody at the far side of a line measures: 0 or 1.
func (g *guest) level(t testing.TB, name string) string {
	t.Helper()
	return g.read(t, g.line(t, name, "value"))
}
