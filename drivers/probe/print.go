package probe

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print says for people what was found, and what to paste.
func (r Report) Print(out io.Writer) {
	printI2C(out, r.I2C)
	printTable(out, "1-Wire", r.OneWire, func(s OneWire) []string {
		return []string{s.Code, orUnknown(s.Chip), driverNote(s.Driver)}
	})
	printTable(out, "served by the kernel", r.Kernel, func(c KernelChip) []string {
		where := "part of the board"
		if c.Bus != "" {
			where = c.Bus + ", " + c.Device
		}
		return []string{c.Chip, where, driverNote(c.Driver)}
	})
	printTable(out, "SPI", r.SPI, func(d SPIDevice) []string { return []string{d.Name, usedOrFree(d.UsedBy)} })
	printTable(out, "GPIO", r.GPIO, gpioRow)
	printTable(out, "serial", r.Serial, serialRow)
	r.Modbus.print(out)
	for _, text := range r.Advice {
		fmt.Fprintf(out, "note: %s\n", text)
	}
	if yaml := r.YAML(); yaml != "" {
		fmt.Fprintf(out, "\n# To be pasted into the config; then: fieldpost check\n%s", yaml)
	}
}

// printTable prints nothing if there is nothing to tell.
func printTable[T any](out io.Writer, title string, list []T, row func(T) []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(out, title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, item := range list {
		fmt.Fprintf(w, "  %s\n", strings.Join(row(item), "\t"))
	}
	w.Flush()
}

func printI2C(out io.Writer, buses []I2CBus) {
	for _, b := range buses {
		fmt.Fprintf(out, "I2C bus %s (%s)\n", b.Name, orUnknown(b.Adapter))
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, c := range b.Chips {
			fmt.Fprintf(w, "  %#02x\t%s\n", c.Address, chipText(c))
		}
		w.Flush()
		switch {
		case b.Problem != "":
			fmt.Fprintf(out, "  %s\n", b.Problem)
		case len(b.Chips) == 0:
			fmt.Fprintln(out, "  nobody has answered")
		}
	}
}

// chipText says in one line what is at an address.
func chipText(c I2CChip) string {
	switch {
	case c.UsedBy != "":
		return "used by " + c.UsedBy
	case c.Chip != "":
		return fmt.Sprintf("%s, by its id %s  %s", c.Chip, c.Asked[len(c.Asked)-1].Read, driverNote(c.Driver))
	}
	var could []string
	for _, m := range c.Maybe {
		could = append(could, fmt.Sprintf("%s %s", m.Chip, driverNote(m.Driver)))
	}
	could = append(could, c.Else...)
	text := "unknown chip"
	if len(could) > 0 {
		text = "by its address " + strings.Join(could, ", or ")
	}
	if c.Note != "" {
		text += "; " + c.Note
	}
	for _, q := range c.Asked {
		text += fmt.Sprintf(" (asked %s, said %s)", q.Wrote, orUnknown(q.Read))
	}
	return text
}

func gpioRow(c GPIOChip) []string {
	var used []string
	for _, line := range c.Used {
		used = append(used, fmt.Sprintf("%s by %q", line.Line, line.By))
	}
	row := []string{c.Name, c.Label, fmt.Sprintf("%d lines", c.Lines), "none is used"}
	if len(used) > 0 {
		row[3] = "used: " + shorten(strings.Join(used, ", "), 200)
	}
	if len(c.Named) > 0 {
		row[3] += "; free: " + shorten(strings.Join(c.Named, " "), 200)
	}
	return row
}

func serialRow(p SerialPort) []string {
	state := usedOrFree(p.UsedBy)
	if p.Problem != "" {
		state = p.Problem
	}
	if h := p.Heard; h != nil {
		state = heardText(*h)
	}
	if p.Port == p.Device {
		return []string{p.Port, "", state}
	}
	return []string{p.Port, p.Device, state}
}

func heardText(h Heard) string {
	switch h.Kind {
	case Silence:
		return "free; silent at the usual rates: it may have to be asked first, or speak at another rate"
	case Noise:
		return "free; something comes that makes no sense at the usual rates: " + h.Example
	}
	return fmt.Sprintf("free; %s at %d baud: %s  %s", map[string]string{
		NMEA: "NMEA", JSON: "JSON", Text: "lines of text", Bridge: "a microcontroller",
	}[h.Kind], h.Baud, shorten(h.Example, 80), driverNote(h.Driver))
}

// shorten cuts a text for a line of a table.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func usedOrFree(by string) string {
	if by == "" {
		return "free"
	}
	return "used by " + by
}

func driverNote(driver string) string {
	if driver == "" {
		return "(no driver)"
	}
	return "(driver " + driver + ")"
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
