package mcu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// Actions implements gateway.Actuator: those of the descriptor that was seen last.
// They change when another firmware comes up.
func (d *Dev) Actions() []gateway.Action {
	d.mu.Lock()
	defer d.mu.Unlock()
	updates := len(d.config.FirmwareKeys) > 0
	switch {
	case d.plan == nil && updates && d.hello.Role == link.Loader:
		return []gateway.Action{updateAction()}
	case d.plan == nil:
		return nil
	case updates:
		return append(slices.Clone(d.plan.actions), updateAction())
	}
	return d.plan.actions
}

// Do implements gateway.Actuator.
func (d *Dev) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cmd.Action == updateFirmware && len(d.config.FirmwareKeys) > 0 {
		return d.update(ctx, cmd)
	}
	conn, plan, err := d.ready()
	if err != nil {
		return nil, fmt.Errorf("nothing was done: %w", err)
	}
	if cmd.Action == changeSettings {
		return d.change(ctx, conn, plan, cmd.Args)
	}
	action, known := plan.action(cmd.Action)
	if !known {
		return nil, fmt.Errorf("its firmware %s %v cannot %s: %w", plan.Firmware, plan.Version, cmd.Action, gateway.ErrUnknown)
	}
	if err := check(plan, cmd); err != nil {
		return nil, err
	}
	args, err := arguments(action, cmd.Args)
	if err != nil {
		return nil, err
	}
	return d.act(ctx, conn, action, d.leaseOf(action), args)
}

// ready is the open link to an application, and what that can do.
func (d *Dev) ready() (*link.Conn, *plan, error) {
	conn, err := d.use()
	if err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hello.Role == link.Loader || d.plan == nil {
		return nil, nil, errLoader
	}
	return conn, d.plan, nil
}

var errLoader = errors.New("its loader is running, there is no firmware that works; send it one by the action firmware-update")

// check judges arguments by the descriptor of now, which may be newer than that by
// which they were judged before.
func check(p *plan, cmd gateway.Command) error {
	for _, a := range p.actions {
		if a.Name == cmd.Action {
			return a.Check(cmd.Args)
		}
	}
	return nil
}

// act carries an action out. One that may be repeated is, once, if its session was
// lost meanwhile.
func (d *Dev) act(ctx context.Context, conn *link.Conn, action link.Action, term time.Duration, args []link.Value) (map[string]any, error) {
	select {
	case d.acting <- struct{}{}:
		defer func() { <-d.acting }()
	case <-ctx.Done():
		return nil, fmt.Errorf("nothing was done: %w", ctx.Err())
	}
	session := conn.Stats().Sessions
	results, err := conn.Do(ctx, action, term, args...)
	if action.Idempotent && errors.Is(err, link.ErrOutcome) && conn.Err() == nil && ctx.Err() == nil {
		session = conn.Stats().Sessions
		results, err = conn.Do(ctx, action, term, args...)
	}
	if err != nil {
		d.failed(action, err)
		return nil, lost(conn, err)
	}
	d.acted(action, term, args, session)
	values := make(map[string]any)
	for i, r := range action.Results {
		if v := reported(results[i]); v != nil {
			values[r.Name] = v
		}
	}
	return values, nil
}

// leaseOf is the lease that an action is to take; 0: none.
func (d *Dev) leaseOf(action link.Action) time.Duration {
	if action.Lease && action.Idempotent { // else it could not be renewed
		return d.config.Lease
	}
	return 0
}

// change changes settings and reports all of them.
func (d *Dev) change(ctx context.Context, conn *link.Conn, plan *plan, args map[string]any) (map[string]any, error) {
	if err := check(plan, gateway.Command{Action: changeSettings, Args: args}); err != nil {
		return nil, err
	}
	values := make(map[string]any)
	var readings []gateway.Reading
	for _, s := range plan.Settings {
		v, err := d.setting(ctx, conn, s, args)
		if err != nil {
			return values, lost(conn, err)
		}
		if x := reported(v); x != nil {
			values[s.Name] = x
		}
		readings = append(readings, settingReading(s, v)...)
	}
	d.tell(ctx, readings...)
	return values, nil
}

// setting changes a setting if there is a new value for it, and returns what it is.
func (d *Dev) setting(ctx context.Context, conn *link.Conn, s link.Setting, args map[string]any) (link.Value, error) {
	v, given := args[s.Name]
	if !given {
		return conn.Get(ctx, s)
	}
	value, err := sent(s.Field, v)
	if err != nil {
		return link.Value{}, err
	}
	return conn.Set(ctx, s, value)
}
