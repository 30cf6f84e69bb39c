package mcu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// outputs is what is known of the outputs; mu of the Dev is held.
type outputs struct {
	// state has what they are by name; what nobody knows is left out.
	state map[string]output
	// leases are those that are renewed, by the ids of their actions.
	leases map[uint8]lease
}

// output is what one is set to, and since which session.
type output struct {
	value   gateway.Value
	session uint64
}

// lease is what an action is asked again for, and since which session.
type lease struct {
	action  link.Action
	args    []link.Value
	session uint64
}

// outputName is that of the output that an argument sets.
func outputName(a link.Action, arg link.Arg) string {
	switch {
	case a.Name == "set":
		return arg.Name
	case len(a.Args) == 1:
		return a.Name
	default:
		return a.Name + "." + arg.Name
	}
}

// sets are the outputs that an action with these arguments sets.
func sets(a link.Action, args []link.Value) map[string]gateway.Value {
	values := make(map[string]gateway.Value)
	for i, v := range args {
		if value, given := received(v); given && a.Lease {
			values[outputName(a, a.Args[i])] = value
		}
	}
	return values
}

// rest are the arguments that bring the outputs of an action into their safe state;
// false if the descriptor does not say.
func rest(a link.Action) (args []link.Value, known bool) {
	for _, arg := range a.Args {
		switch {
		case arg.Safe != nil:
			args = append(args, *arg.Safe)
		case arg.Required:
			return nil, false
		default:
			args = append(args, link.Value{})
		}
	}
	return args, a.Lease && len(args) > 0
}

// acted notes that an action was carried out, in this session or a later one.
func (d *Dev) acted(a link.Action, term time.Duration, args []link.Value, session uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == nil {
		d.outputs = outputs{make(map[string]output), make(map[uint8]lease)}
	}
	for name, value := range sets(a, args) {
		d.state[name] = output{value, session}
	}
	delete(d.leases, a.ID)
	if term > 0 {
		d.leases[a.ID] = lease{a, args, session}
	}
}

// failed notes that an action was not carried out, or perhaps.
func (d *Dev) failed(a link.Action, err error) {
	status := (*link.StatusError)(nil)
	if errors.As(err, &status) && status.Status != link.Failed {
		return // nothing was done
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.leases, a.ID)
	for _, arg := range a.Args {
		delete(d.state, outputName(a, arg))
	}
}

// forget notes that nothing is known of outputs that were set before a session; mu is
// held.
func (d *Dev) forget(session uint64) {
	maps.DeleteFunc(d.state, func(_ string, o output) bool { return o.session < session })
	maps.DeleteFunc(d.leases, func(_ uint8, l lease) bool { return l.session < session })
}

// rested notes that outputs which were set before a session have taken their safe
// state; spared are those that have a lease. mu is held.
func (d *Dev) rested(session uint64, spareLeased bool) {
	spared := make(map[string]output)
	for id, l := range d.leases {
		if !spareLeased && l.session < session {
			delete(d.leases, id)
			continue
		}
		for name := range sets(l.action, l.args) {
			spared[name] = d.state[name]
		}
	}
	for name, o := range d.state {
		if o.session >= session {
			spared[name] = o
		}
	}
	d.state = make(map[string]output)
	for name, value := range d.plan.atRest() {
		d.state[name] = output{value, session}
	}
	maps.Copy(d.state, spared)
	if d.leases == nil {
		d.leases = make(map[uint8]lease)
	}
}

// atRest has the outputs in the safe state, as far as the descriptor says.
func (p *plan) atRest() map[string]gateway.Value {
	values := make(map[string]gateway.Value)
	if p == nil {
		return values
	}
	for _, a := range p.Actions {
		if args, known := rest(a); known {
			maps.Copy(values, sets(a, args))
		}
	}
	return values
}

// State implements gateway.Stateful.
func (d *Dev) State() map[string]gateway.Value {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.values()
}

// values are those of the outputs; mu is held.
func (d *Dev) values() map[string]gateway.Value {
	values := make(map[string]gateway.Value)
	for name, o := range d.state {
		values[name] = o.value
	}
	return values
}

// After implements gateway.Stateful.
func (d *Dev) After(cmd gateway.Command) map[string]gateway.Value {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := d.values()
	if d.plan == nil {
		return after
	}
	if cmd.Action == updateFirmware {
		return d.plan.atRest()
	}
	if action, known := d.plan.action(cmd.Action); known {
		if args, err := arguments(action, cmd.Args); err == nil {
			maps.Copy(after, sets(action, args))
		}
	}
	return after
}

// AtRest implements gateway.Stateful.
func (d *Dev) AtRest() map[string]gateway.Value {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.config.Safe == safeKeep {
		return nil
	}
	return d.plan.atRest()
}

// Safe implements gateway.Safer: it sets each output to what the descriptor says is
// safe. Of others the microcontroller alone knows; it makes them safe when it is reset
// and when the gateway falls silent.
func (d *Dev) Safe(ctx context.Context) error {
	conn, plan, err := d.ready()
	switch {
	case d.isUpdating(), errors.Is(err, errLoader): // outputs are safe while a loader runs
		return nil
	case err != nil:
		return err
	case d.config.Safe == safeKeep:
		return nil
	}
	var errs []error
	for _, a := range plan.Actions {
		args, known := rest(a)
		if !known {
			continue
		}
		if _, err := d.act(ctx, conn, a, 0, args); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.Name, err))
		}
	}
	return errors.Join(errs...)
}
