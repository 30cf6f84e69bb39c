// Package modbus reads and writes units that speak Modbus: meters, inverters,
// drives, controllers, on a serial line (RTU) or over TCP. What they have says
// their manual; it is put into a map of registers in the config.
//
// Readings: one for each register of the config, with its name and unit; true or
// false for coils, discrete inputs and single bits.
//
// Neighbouring registers are read by one request. A request that the unit refuses
// (exception 2) because it reaches over addresses that do not exist is split at
// the gaps, once and for all.
package modbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Dev is one unit.
type Dev struct {
	config Config
	buses  *bus.Set
	known  bus.Known // of the registers that can be written

	mu     sync.Mutex
	line   *bus.Modbus // nil while closed
	groups []group
}

// New returns a unit that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	return &Dev{config: c, buses: buses, groups: groups(c.Registers, c.MaxRegisters, c.MaxGap)}, nil
}

// Open gets the bus. Whether the unit is there shows its first answer.
func (d *Dev) Open(ctx context.Context) error {
	line, err := d.buses.Modbus(d.config.Bus)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.line = line
	d.mu.Unlock()
	if len(d.groups) == 0 {
		return nil
	}
	if _, err = d.readGroup(ctx, line, &d.groups[0]); errors.Is(err, gateway.ErrUnavailable) {
		return err
	}
	return nil // anything else is for Read to tell
}

// Close implements the contract of drivers.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line = nil
	d.known.ForgetAll()
	return nil
}

// open is the bus, or why there is none.
func (d *Dev) open() (*bus.Modbus, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line == nil {
		return nil, bus.ErrNotOpen
	}
	return d.line, nil
}

// Read implements gateway.Sensor. A group that fails keeps the others from being
// read only if the unit does not answer at all.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	line, err := d.open()
	if err != nil {
		return nil, err
	}
	var readings []gateway.Reading
	var errs []error
	for i := 0; i < len(d.groups); i++ {
		g := &d.groups[i]
		got, err := d.readGroup(ctx, line, g)
		readings = append(readings, got...)
		switch {
		case errors.Is(err, modbus.IllegalAddress) && !g.gapless():
			d.groups = slices.Replace(d.groups, i, i+1, groups(g.registers, d.config.MaxRegisters, 0)...)
			i--
		case errors.Is(err, gateway.ErrUnavailable), ctx.Err() != nil:
			return readings, errors.Join(append(errs, err)...)
		default:
			errs = append(errs, err)
		}
	}
	return readings, errors.Join(errs...)
}

func (d *Dev) readGroup(ctx context.Context, line *bus.Modbus, g *group) ([]gateway.Reading, error) {
	request := modbus.Read(byte(d.config.Unit), g.table, uint16(g.address), uint16(g.count)) //nolint:gosec // in range by Validate
	found := d.known.Reads()
	values, err := line.Ask(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g, err)
	}
	var readings []gateway.Reading
	var errs []error
	for _, r := range g.registers {
		reading, ok, err := d.reading(r, g.values(values, r))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Name, err))
		} else if ok {
			if r.Write != nil {
				found(r.Name, reading.Value)
			}
			readings = append(readings, reading)
		}
	}
	return readings, errors.Join(errs...)
}

func (d *Dev) reading(r RegisterConfig, data []byte) (gateway.Reading, bool, error) {
	if tables[r.Table].Bits() {
		return gateway.Reading{Name: r.Name, Value: gateway.Bool(data[0] == 1)}, true, nil
	}
	v, ok, err := r.value(arrange(data, d.order(r)))
	return gateway.Reading{Name: r.Name, Value: v, Unit: r.Unit}, ok, err
}

// order of the bytes of a value. The letters of a text are in the order of the
// wire, whatever numbers are in.
func (d *Dev) order(r RegisterConfig) string {
	if r.Type == "text" {
		return cmp.Or(r.Order, "ABCD")
	}
	return cmp.Or(r.Order, d.config.Order)
}

// String says for errors what the group reads.
func (g *group) String() string {
	names := map[modbus.Table]string{modbus.Coils: "coils", modbus.Discrete: "discrete inputs", modbus.Holding: "holding registers", modbus.Input: "input registers"}
	return fmt.Sprintf("%s %d to %d", names[g.table], g.address, g.address+g.count-1)
}
