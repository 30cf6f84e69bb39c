package probe

import (
	"fmt"
	"io"
	"text/tabwriter"
)

func (l *ModbusLine) print(out io.Writer) {
	if l == nil {
		return
	}
	fmt.Fprintf(out, "Modbus on %s\n", l.Line)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, u := range l.Units {
		text := u.Note
		if u.Table != "" {
			text = fmt.Sprintf("%s register 0 is %d", u.Table, u.Value)
		}
		fmt.Fprintf(w, "  unit %d\t%s\n", u.Unit, text)
	}
	w.Flush()
	switch {
	case l.Problem != "" && l.Asked > 0:
		fmt.Fprintf(out, "  after unit %d: %s\n", l.Asked, l.Problem)
	case l.Problem != "":
		fmt.Fprintf(out, "  %s\n", l.Problem)
	case len(l.Units) == 0:
		fmt.Fprintf(out, "  none of the units 1 to %d has answered: check A and B, ground, baud and parity\n", l.Asked)
	}
}

// write adds the line as a bus, and units that have given a value.
func (l *ModbusLine) write(w *writer) {
	if l == nil || len(l.Units) == 0 {
		return
	}
	w.buses = fmt.Sprintf("buses:\n  %s: {type: modbus-tcp, address: %s}\n", modbusBus, quoted(l.Line))
	if l.Baud > 0 {
		w.buses = fmt.Sprintf("buses:\n  %s: {type: modbus-rtu, port: %s, baud: %d, parity: %s}\n", modbusBus, quoted(l.Line), l.Baud, l.Parity)
	}
	for _, u := range l.Units {
		if u.Table == "" {
			w.comment("Modbus unit %d has another register than 0; see its manual, and configs/examples/modbus.yaml.", u.Unit)
			continue
		}
		w.device(fmt.Sprintf("unit%d", u.Unit), "modbus", "bus: "+modbusBus, fmt.Sprintf("unit: %d", u.Unit),
			"# Its manual lists what it has; see configs/examples/modbus.yaml.",
			"registers:", fmt.Sprintf("  - {name: value, table: %s, address: 0}", u.Table))
	}
}
