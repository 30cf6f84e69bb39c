package probe

import (
	"fmt"
	"regexp"
	"strings"
)

// YAML is the part of a config for what was found, to be pasted. What is only
// guessed stands in it as a comment: a driver writes to its chip, which may be
// another one.
func (r Report) YAML() string {
	w := &writer{ids: make(map[string]int)}
	r.writeI2C(w)
	for _, s := range r.OneWire {
		if s.Driver != "" {
			w.device(s.Driver, s.Driver, "sensor: "+s.Code)
		}
	}
	for _, c := range r.Kernel {
		if c.Bus != "" {
			w.device(c.Chip, c.Driver, "chip: "+quoted(c.Chip), "device: "+quoted(c.Device))
		}
	}
	for _, p := range r.Serial {
		p.write(w)
	}
	r.Modbus.write(w)
	text := w.buses
	if w.devices.Len() > 0 { // a section without entries would be an error
		text += "devices:\n" + w.devices.String()
	}
	return text + w.comments.String()
}

func (r Report) writeI2C(w *writer) {
	for _, b := range r.I2C {
		for _, c := range b.Chips {
			if c.Chip != "" && len(c.keys.required) == 0 {
				w.device(c.Driver, c.Driver, c.keys.at(b.Name, c.Address)...)
			}
		}
	}
	for _, b := range r.I2C {
		for _, c := range b.Chips {
			switch {
			case c.UsedBy != "":
			case c.Chip != "" && len(c.keys.required) > 0:
				w.comment("%s at %#02x is this, %s:", b.Name, c.Address, c.Chip)
				w.entry(Candidate{c.Chip, c.Driver, c.keys}, b.Name, c.Address)
			case c.Chip == "":
				c.guess(w, b.Name)
			}
		}
	}
}

// guess writes what a chip could be.
func (c I2CChip) guess(w *writer, name string) {
	for _, m := range c.Maybe {
		w.comment("If %s at %#02x is this, %s:", name, c.Address, m.Chip)
		w.entry(m, name, c.Address)
	}
	if c.Address >= firstMux && c.Address <= lastMux && len(c.Else) > 0 {
		w.comment("If %s at %#02x is a multiplexer, with a line for each channel in use:", name, c.Address)
		w.comment("buses:")
		w.comment("  channel0: {type: i2c-mux, bus: %s, address: %#02x, channel: 0}", name, c.Address)
	}
}

// at are the keys that say where a chip is.
func (k keys) at(name string, address uint16) []string {
	lines := []string{"bus: " + name}
	if k.address {
		lines = append(lines, fmt.Sprintf("address: %#02x", address))
	}
	return lines
}

func (p SerialPort) write(w *writer) {
	if p.UsedBy != "" || p.Heard == nil {
		return
	}
	keys := []string{"port: " + quoted(p.Port), fmt.Sprintf("baud: %d", p.Heard.Baud)}
	switch p.Heard.Kind {
	case NMEA:
		w.device("nmea", "nmea", keys...)
	case Bridge:
		w.device("mcu", "mcu", keys...)
	case JSON:
		w.device("board", "json-lines", append(keys, "take: all")...)
	case Text:
		pattern, values := patternOf(p.Heard.Example)
		if values == 0 {
			w.comment("%s sends text at %d baud, without numbers: %s", p.Port, p.Heard.Baud, p.Heard.Example)
			return
		}
		w.device("lines", "lines", append(keys, "# Give the values names and units; see configs/examples/lines.yaml.", "patterns:", "  - match: "+quoted(pattern))...)
	}
}

var number = regexp.MustCompile(`[-+]?[0-9]+(\.[0-9]+)?`)

// patternOf makes a pattern of a line, in which each number is a value.
func patternOf(line string) (pattern string, values int) {
	var b strings.Builder
	b.WriteByte('^')
	last := 0
	for _, at := range number.FindAllStringIndex(line, -1) {
		values++
		fmt.Fprintf(&b, "%s(?P<value%d>[-+0-9.]+)", regexp.QuoteMeta(line[last:at[0]]), values)
		last = at[1]
	}
	return b.String() + regexp.QuoteMeta(line[last:]) + "$", values
}

// quoted is a text as a scalar of YAML.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// writer puts the parts together.
type writer struct {
	buses             string
	devices, comments strings.Builder
	ids               map[string]int
}

// id is a new one, after a word.
func (w *writer) id(word string) string {
	word = notID.ReplaceAllString(word, "-")
	w.ids[word]++
	if n := w.ids[word]; n > 1 {
		return fmt.Sprintf("%s-%d", word, n)
	}
	return word
}

var notID = regexp.MustCompile(`[^A-Za-z0-9._-]`)

func (w *writer) device(word, driver string, lines ...string) {
	fmt.Fprintf(&w.devices, "  - id: %s\n    driver: %s\n", w.id(word), driver)
	for _, line := range lines {
		fmt.Fprintf(&w.devices, "    %s\n", line)
	}
}

// entry is a device as a comment, with what is still missing in it.
func (w *writer) entry(c Candidate, name string, address uint16) {
	w.comment("  - {id: %s, driver: %s, %s}", w.id(c.Driver), c.Driver, strings.Join(c.keys.at(name, address), ", "))
	if len(c.keys.required) > 0 {
		w.comment("    with %s, too, as in configs/examples/%s.yaml", strings.Join(c.keys.required, ", "), c.Driver)
	}
}

func (w *writer) comment(format string, args ...any) {
	fmt.Fprintf(&w.comments, "# "+format+"\n", args...)
}
