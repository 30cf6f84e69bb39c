package mcu

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// plan is what a microcontroller can do, by its descriptor. It does not change.
type plan struct {
	*link.Descriptor
	actions []gateway.Action
}

// attempts is how often the link sends a request.
const attempts = 5

// changeSettings is the action that the driver adds. No action of a descriptor can
// have a hyphen in its name.
const changeSettings = "change-settings"

func newPlan(d *link.Descriptor) *plan {
	p := &plan{Descriptor: d, actions: []gateway.Action{}}
	for _, a := range d.Actions {
		action := gateway.Action{Name: a.Name, Help: a.Help, Idempotent: a.Idempotent}
		if action.Help == "" {
			action.Help = "Action of the firmware " + d.Firmware + "."
		}
		if a.Timeout > 0 {
			action.Timeout = attempts*time.Duration(a.Timeout)*time.Millisecond + time.Second
		}
		for _, arg := range a.Args {
			action.Args = append(action.Args, argOf(arg.Field, arg.Required))
		}
		p.actions = append(p.actions, action)
	}
	if len(d.Settings) > 0 {
		action := gateway.Action{Name: changeSettings, Help: "Changes settings, which the microcontroller keeps over resets.", Idempotent: true}
		for _, s := range d.Settings {
			action.Args = append(action.Args, argOf(s.Field, false))
		}
		p.actions = append(p.actions, action)
	}
	return p
}

// argOf declares a field of the descriptor as an argument.
func argOf(f link.Field, required bool) gateway.Arg {
	arg := gateway.Arg{Name: f.Name, Help: f.Help, Unit: f.Unit, Required: required, Min: f.Min, Max: f.Max, OneOf: f.OneOf}
	switch f.Kind {
	case link.Bool:
		arg.Type = gateway.ArgBool
	case link.Int:
		arg.Type = gateway.ArgInteger
		arg.Min, arg.Max = within(f, math.MinInt32, math.MaxInt32)
	case link.Float:
		arg.Type = gateway.ArgNumber
		arg.Min, arg.Max = within(f, -math.MaxFloat32, math.MaxFloat32)
	default:
		arg.Type, arg.MaxBytes = gateway.ArgText, math.MaxUint8
	}
	return arg
}

// within are the bounds of a number that the link can carry.
func within(f link.Field, least, most float64) (*float64, *float64) {
	if f.Min != nil {
		least = max(least, *f.Min)
	}
	if f.Max != nil {
		most = min(most, *f.Max)
	}
	return &least, &most
}

// action finds an action of the descriptor.
func (p *plan) action(name string) (link.Action, bool) {
	i := slices.IndexFunc(p.Actions, func(a link.Action) bool { return a.Name == name })
	if i < 0 {
		return link.Action{}, false
	}
	return p.Actions[i], true
}

// channel finds a channel by its number on the line.
func (p *plan) channel(id uint8) (link.Channel, bool) {
	i := slices.IndexFunc(p.Channels, func(c link.Channel) bool { return c.ID == id })
	if i < 0 {
		return link.Channel{}, false
	}
	return p.Channels[i], true
}

// learn takes a descriptor over, and keeps it on the card if it is news, so that
// commands can be judged while the microcontroller is absent.
func (d *Dev) learn(descriptor *link.Descriptor) {
	d.mu.Lock()
	known := d.plan
	if known == nil || known.Text != descriptor.Text {
		d.plan = newPlan(descriptor)
	}
	d.mu.Unlock()
	if d.card == nil || known != nil && known.Text == descriptor.Text {
		return
	}
	if err := d.card.Save(packText(descriptor.Text)); err != nil {
		d.log.Warn("what the microcontroller can do is not kept: commands for it have to wait until it is there", "error", err)
	}
}

// Remember implements gateway.Rememberer.
func (d *Dev) Remember(m gateway.Memory) {
	d.card = m
	packed, err := m.Load()
	if err != nil || len(packed) == 0 {
		return
	}
	descriptor, err := d.recall(packed)
	if err != nil {
		d.log.Debug("what was kept of the microcontroller is of no use", "error", err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan = newPlan(descriptor)
}

func (d *Dev) recall(packed []byte) (*link.Descriptor, error) {
	text, err := unpackText(packed)
	if err != nil {
		return nil, err
	}
	return d.memory.Recall(text)
}

// mostText is how long the text of a descriptor may be.
const mostText = 8192

// packText makes a descriptor small enough for the card.
func packText(text string) []byte {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression) // the level is right
	_, _ = io.WriteString(w, text)                          // a buffer takes everything
	_ = w.Close()
	return packed.Bytes()
}

func unpackText(packed []byte) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), mostText+1))
	if err != nil {
		return nil, fmt.Errorf("the descriptor on the card: %w: %w", err, gateway.ErrInvalid)
	}
	return text, nil
}
