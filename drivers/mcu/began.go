package mcu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// began tells of a new session, and learns what has changed.
func (t *teller) began(ctx context.Context, b link.Began) error {
	b = b.After(t.untold)
	t.untold = link.Began{}
	if err := t.greet(ctx, t.conn); err != nil {
		if t.conn.Err() != nil || errors.Is(err, gateway.ErrInvalid) && !t.isUpdating() || ctx.Err() != nil {
			return err
		}
		t.untold = b // another session follows, or the update sees to it that one does
		return nil
	}
	if b.Role != t.role() { // that session is over already
		t.untold = b
		return nil
	}
	t.noteStart(b)
	if b.Role == link.Loader {
		return t.loader(b)
	}
	if b.Known && b.Start == link.Booted {
		if err := t.sink.Gap(ctx, gateway.Gap{First: seq(b.Before), Reason: gateway.GapReset}); err != nil {
			return err
		}
	}
	return t.introduce(ctx, b)
}

// role is what speaks, as far as is known.
func (d *Dev) role() link.Role {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hello.Role
}

// noteStart notes what a new session means for the outputs.
func (t *teller) noteStart(b link.Began) {
	t.mu.Lock()
	switch b.Start {
	case link.Booted:
		t.rested(b.Session, false)
	case link.Taken:
		t.forget(b.Session)
	}
	t.mu.Unlock()
	switch {
	case !b.Known:
		t.log.Info("the microcontroller is in session", "role", b.Role, "last_reset", b.Cause, "uptime", time.Duration(b.Uptime)*time.Millisecond)
	case b.Start == link.Booted:
		t.log.Warn("the microcontroller was reset; its outputs are in their safe state", "cause", b.Cause, "role", b.Role)
	case b.Start == link.Taken:
		t.log.Warn("another gateway was in session with the microcontroller; what its outputs are set to is not known")
	default:
		t.log.Info("the microcontroller goes on after an interruption of the line")
	}
}

// loader says what a loader that stays means.
func (t *teller) loader(b link.Began) error {
	if t.isUpdating() || b.Image == link.Confirmed { // that one it starts in a moment
		return nil
	}
	return fmt.Errorf("%w (image: %v)", errLoader, b.Image)
}

// introduce tells who is there.
func (t *teller) introduce(ctx context.Context, b link.Began) error {
	t.mu.Lock()
	plan := t.plan
	t.mu.Unlock()
	readings := []gateway.Reading{
		{Name: "firmware", Value: gateway.Text(fmt.Sprintf("%s %v", plan.Firmware, plan.Version))},
		{Name: "link.resets", Value: gateway.Number(float64(t.conn.Stats().Resets))},
		{Name: "link.reset", Value: gateway.Text(b.Cause.String())},
	}
	for _, s := range plan.Settings {
		v, err := t.conn.Get(ctx, s)
		if err != nil {
			if t.conn.Err() != nil {
				return err
			}
			t.log.Warn("a setting cannot be read", "error", err)
			continue
		}
		readings = append(readings, settingReading(s, v)...)
	}
	return t.sink.Emit(ctx, readings...)
}

// settingReading is a setting as a reading; none if it has no value.
func settingReading(s link.Setting, v link.Value) []gateway.Reading {
	value, has := received(v)
	if !has {
		return nil
	}
	r := gateway.Reading{Name: "setting." + s.Name, Value: value}
	if _, isNumber := value.Number(); isNumber {
		r.Unit = s.Unit
	}
	return []gateway.Reading{r}
}
