package probe

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// ModbusOptions say where units are looked for.
type ModbusOptions struct {
	// Line is a serial port, or host or host:port of units in the network.
	Line string
	// Baud and Parity of a serial port.
	Baud   int
	Parity string
	// Units from 1 on that are asked.
	Units int
	// Timeout is how long each has to answer.
	Timeout time.Duration
}

// ModbusLine is a line on which units were looked for.
type ModbusLine struct {
	Line   string `json:"line"`
	Baud   int    `json:"baud,omitempty"`
	Parity string `json:"parity,omitempty"`
	// Asked is how many units were asked, from 1 on.
	Asked int          `json:"asked"`
	Units []ModbusUnit `json:"units"`
	// Problem is why not all were asked.
	Problem string `json:"problem,omitempty"`
}

// ModbusUnit is a unit that has answered.
type ModbusUnit struct {
	Unit int `json:"unit"`
	// Table is that of the register 0 with Value, if it could be read.
	Table string `json:"table,omitempty"`
	Value uint16 `json:"value,omitempty"`
	// Note is what it has answered instead.
	Note string `json:"note,omitempty"`
}

// serial tells that the line is a serial port.
func (o ModbusOptions) serial() bool { return strings.HasPrefix(o.Line, "/") }

// findUnits asks the units of one line, one after the other, for a register each.
func (p *prober) findUnits(ctx context.Context) {
	o := p.Modbus
	if o == nil {
		return
	}
	line := &ModbusLine{Line: o.Line, Units: []ModbusUnit{}}
	p.report.Modbus = line
	if o.serial() {
		line.Baud, line.Parity = o.Baud, o.Parity
		line.Line = cmp.Or(bus.StableName(p.Root, o.Line), o.Line)
		if line.Problem = p.portProblem(o.Line); line.Problem != "" {
			return
		}
	}
	buses := bus.New(bus.Options{Configs: map[string]any{modbusBus: p.modbusConfig()}})
	defer buses.Close() //nolint:errcheck // what could not be closed ends with the program
	b, err := buses.Modbus(modbusBus)
	if err != nil {
		line.Problem = err.Error()
		return
	}
	for line.Asked < o.Units && ctx.Err() == nil {
		unit := line.Asked + 1
		p.Progress(fmt.Sprintf("Modbus unit %d of %d", unit, o.Units))
		var found *ModbusUnit
		if found, err = askUnit(ctx, b, unit); err != nil {
			line.Problem = strings.TrimSuffix(err.Error(), ": "+gateway.ErrUnavailable.Error())
			return
		}
		if found != nil {
			line.Units = append(line.Units, *found)
		}
		line.Asked = unit
	}
}

// modbusBus is the name of the bus, in what is printed, too.
const modbusBus = "field"

func (p *prober) modbusConfig() any {
	o := p.Modbus
	if !o.serial() {
		return &bus.TCPConfig{Address: o.Line, Timeout: o.Timeout}
	}
	return &bus.RTUConfig{
		PortConfig: bus.PortConfig{Port: p.path(o.Line), Baud: o.Baud, DataBits: 8, Parity: o.Parity, StopBits: 1, DTR: bus.Keep, RTS: bus.Keep},
		Timeout:    o.Timeout,
	}
}

// portProblem is why a port cannot be used; empty if it can.
func (p *prober) portProblem(name string) string {
	if by := p.portUser(name); by != "" {
		return "used by " + by
	}
	return p.permission(name)
}

// askUnit reads a register of each kind until the unit answers; nil if it does
// not. Its error is that of the line.
func askUnit(ctx context.Context, b *bus.Modbus, unit int) (*ModbusUnit, error) {
	var refused modbus.Exception
	found := &ModbusUnit{Unit: unit}
	for _, t := range []struct {
		table modbus.Table
		name  string
	}{{modbus.Holding, "holding"}, {modbus.Input, "input"}} {
		data, err := b.Ask(ctx, modbus.Read(byte(unit), t.table, 0, 1)) //nolint:gosec // 247 at most
		switch {
		case err == nil:
			found.Table, found.Value, found.Note = t.name, binary.BigEndian.Uint16(data), ""
			return found, nil
		case errors.As(err, &refused) && errors.Is(err, gateway.ErrUnavailable):
			// A Modbus gateway says so of units that are silent.
		case errors.As(err, &refused):
			found.Note = refused.Error()
		case errors.Is(err, gateway.ErrTimeout):
		case errors.Is(err, gateway.ErrInvalid):
			found.Note = "something answers that is damaged: do two units have this address, or is the parity another? (" + err.Error() + ")"
		default:
			return nil, err
		}
	}
	if found.Note == "" {
		return nil, nil //nolint:nilnil // nobody is there, which is no error
	}
	return found, nil
}
