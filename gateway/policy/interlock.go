package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

// interlock is the condition of an only_while.
type interlock struct {
	text      string
	condition *expression.Expression
	machine   expression.Machine
	inputs    []input
	maxAge    time.Duration
}

// input is a quantity that a condition names.
type input struct {
	name     string // as the condition has it
	device   gateway.DeviceID
	quantity string
}

// newInterlock compiles a condition; known has values of the kinds of quantities,
// by the names that a condition uses.
func newInterlock(c Terms, exists func(gateway.DeviceID) bool, known map[string]gateway.Value) (*interlock, error) {
	condition, err := expression.Condition(c.OnlyWhile, known)
	if err != nil {
		return nil, err
	}
	l := &interlock{text: c.OnlyWhile, condition: condition, maxAge: c.OnlyWhileMaxAge}
	for _, name := range condition.Inputs {
		device, quantity, ok := latest.Split(name, exists)
		if !ok {
			return nil, fmt.Errorf("%s names no quantity of a device; want device.quantity, such as valve.on", name)
		}
		l.inputs = append(l.inputs, input{name, device, quantity})
	}
	if len(l.inputs) == 0 {
		return nil, fmt.Errorf("%s depends on nothing; want a quantity of another device, such as valve.on", l.text)
	}
	return l, nil
}

// Needs are the devices that the only_while of a device names; none if it is wrong.
func Needs(c Terms, exists func(gateway.DeviceID) bool) (ids []gateway.DeviceID) {
	if c.OnlyWhile == "" {
		return nil
	}
	l, err := newInterlock(c, exists, nil)
	if err != nil {
		return nil
	}
	for _, in := range l.inputs {
		if !slices.Contains(ids, in.device) {
			ids = append(ids, in.device)
		}
	}
	return ids
}

// names tells whether the condition names an output of a device.
func (l *interlock) names(d *device) bool {
	if l == nil {
		return false
	}
	for _, in := range l.inputs {
		if in.device == d.ID && d.outputs[in.quantity] {
			return true
		}
	}
	return false
}

// assumption is that a device has other outputs than it has now.
type assumption struct {
	device  *device
	outputs state
}

// holds tells whether the condition of a device is true and known, if need be under
// an assumption; else why not. mu is held.
func (p *Policy) holds(d *device, now time.Time, given *assumption) (ok bool, why string) {
	l := d.interlock
	values := make(map[string]any, len(l.inputs))
	var are, unknown []string
	for _, in := range l.inputs {
		v, problem := p.value(in, l.maxAge, now, given)
		if problem != "" {
			unknown = append(unknown, fmt.Sprintf("%s is not known: %s", in.name, problem))
			continue
		}
		values[in.name] = expression.Plain(v)
		are = append(are, fmt.Sprintf("%s is %v", in.name, v))
	}
	if unknown != nil {
		return false, strings.Join(unknown, ", ")
	}
	result, err := l.condition.Run(&l.machine, values)
	if err != nil {
		return false, fmt.Sprintf("%s, and the condition has no result: %v", strings.Join(are, ", "), err)
	}
	if isTrue, _ := result.(bool); isTrue {
		return true, ""
	}
	return false, strings.Join(are, ", ")
}

// value is that of an input, or why it is not known. mu is held.
func (p *Policy) value(in input, maxAge time.Duration, now time.Time, given *assumption) (v gateway.Value, problem string) {
	d := p.devices[in.device]
	if d != nil && d.outputs[in.quantity] {
		if given != nil && given.device == d {
			if v, known := given.outputs[in.quantity]; known {
				return v, ""
			}
			return v, "nobody knows what it is then"
		}
		return d.certain(in.quantity)
	}
	reading, ok := p.opts.Latest.Get(in.device, in.quantity)
	age := now.Sub(reading.Came)
	switch {
	case !ok:
		return v, "no reading has come yet"
	case age >= maxAge:
		return v, fmt.Sprintf("its last reading came %v ago, and counts for %v (only_while_max_age)", age.Round(time.Second), maxAge)
	case reading.Quality == gateway.Bad:
		return v, "its last reading is bad"
	}
	return reading.Value, ""
}

// certain is the value of an output, if it is the same whatever is under way.
func (d *device) certain(output string) (v gateway.Value, problem string) {
	now := d.Stateful.State()
	v, known := now[output]
	switch {
	case now == nil:
		return v, fmt.Sprintf("%s cannot be reached", d.ID)
	case !known:
		return v, fmt.Sprintf("writing to %s has failed", d.ID)
	case d.underway != nil && (d.underway.momentary || d.underway.after[output] != v):
		return v, fmt.Sprintf("%s is in the middle of a command", d.ID)
	}
	if rest, set := d.rest[output]; d.securing != nil && set && rest != v {
		return v, fmt.Sprintf("%s is being brought into its safe state", d.ID)
	}
	return v, ""
}

// expires is when the condition will be unknown for the age of what it knows; zero
// if it does not depend on readings.
func (p *Policy) expires(d *device) (at time.Time) {
	for _, in := range d.interlock.inputs {
		if of := p.devices[in.device]; of != nil && of.outputs[in.quantity] {
			continue
		}
		if v, ok := p.opts.Latest.Get(in.device, in.quantity); ok {
			at = sooner(at, v.Came.Add(d.interlock.maxAge))
		}
	}
	return at
}

// sooner is the earlier of two moments, zero being never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
