package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Actions implements gateway.Actuator: set, with an argument for each register
// that can be written; none if none can.
func (d *Dev) Actions() []gateway.Action {
	set := gateway.Action{Name: "set", Help: "Writes registers of the unit, in the order of their names.", Idempotent: true}
	for _, r := range d.writable() {
		arg := gateway.Arg{Name: r.Name, Type: gateway.ArgNumber, Unit: r.Unit, Min: r.Write.Min, Max: r.Write.Max}
		if r.Table == "coil" {
			arg.Type = gateway.ArgBool
		}
		set.Args = append(set.Args, arg)
	}
	if set.Args == nil {
		return nil
	}
	return []gateway.Action{set}
}

// writable are the registers that can be written, by name.
func (d *Dev) writable() []RegisterConfig {
	var all []RegisterConfig
	for _, r := range d.config.Registers {
		if r.Write != nil {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b RegisterConfig) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Do implements gateway.Actuator. It reports what was written.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	actions := d.Actions()
	if len(actions) == 0 || cmd.Action != "set" {
		return nil, fmt.Errorf("there is no action %.40q: %w", cmd.Action, gateway.ErrDenied)
	}
	if err := actions[0].Check(cmd.Args); err != nil {
		return nil, err
	}
	if len(cmd.Args) == 0 {
		return nil, fmt.Errorf("nothing is to be set; want at least one of the arguments: %w", gateway.ErrDenied)
	}
	requests, err := d.requests(cmd.Args)
	if err != nil {
		return nil, err
	}
	return d.write(ctx, requests)
}

// order is one register to write.
type order struct {
	name    string
	value   any
	request modbus.Request
}

// requests makes all of them before the first is sent, so that a value that does
// not fit changes nothing.
func (d *Dev) requests(values map[string]any) ([]order, error) {
	var all []order
	for _, r := range d.writable() {
		value, given := values[r.Name]
		if !given {
			continue
		}
		request, err := d.request(r, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		all = append(all, order{r.Name, value, request})
	}
	return all, nil
}

func (d *Dev) request(r RegisterConfig, value any) (modbus.Request, error) {
	unit, address := byte(d.config.Unit), uint16(r.Address) //nolint:gosec // in range by Validate
	switch v := value.(type) {
	case bool:
		return modbus.WriteCoil(unit, address, v), nil
	case float64:
		words, err := r.registers(v, d.order(r))
		if err != nil {
			return modbus.Request{}, err
		}
		if len(words) == 1 && !r.Write.Multiple {
			return modbus.WriteRegister(unit, address, words[0]), nil
		}
		return modbus.WriteRegisters(unit, address, words), nil
	default:
		return modbus.Request{}, fmt.Errorf("%v cannot be written: %w", value, gateway.ErrDenied)
	}
}

// write sends the requests; it ends at the first that fails.
func (d *Dev) write(ctx context.Context, orders []order) (map[string]any, error) {
	line, err := d.open()
	if err != nil {
		return nil, err
	}
	done := make(map[string]any)
	for _, o := range orders {
		if err := d.send(ctx, line, o); err != nil {
			return done, err
		}
		done[o.name] = o.value
	}
	return done, nil
}

func (d *Dev) send(ctx context.Context, line *bus.Modbus, o order) error {
	d.known.Forget(o.name)
	if _, err := line.Ask(ctx, o.request); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	d.known.Know(o.name, stateValue(o.value))
	return nil
}

// Safe implements gateway.Safer: it writes what the config says, as far as that
// can be done.
func (d *Dev) Safe(ctx context.Context) error {
	if len(d.config.Safe) == 0 {
		return nil
	}
	orders, err := d.requests(d.safe())
	if err != nil {
		return err
	}
	line, err := d.open()
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range orders {
		errs = append(errs, d.send(ctx, line, o))
	}
	return errors.Join(errs...)
}
