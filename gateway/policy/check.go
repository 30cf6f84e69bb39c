package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Described is a device of a config, with what is known of it before it is opened.
type Described struct {
	Device // Actuator is nil if it takes no commands
	// Unknown tells that it takes commands, and which is not known before.
	Unknown bool
	// Quantities are what it measures, with a value of the kind; nil if that is not
	// known before.
	Quantities map[string]gateway.Value
	// Every is how often it is read; 0 if it is not polled.
	Every time.Duration
}

// Check finds what cannot be right in the configs of devices: names that there are
// not, keys without effect, devices that need each other in a circle. The errors are
// gateway.FieldErrors, by device.
func Check(all []Described) map[gateway.DeviceID]error {
	c := checker{described: make(map[gateway.DeviceID]Described), faults: make(map[gateway.DeviceID]error)}
	devices := make(map[gateway.DeviceID]*device)
	var ids []gateway.DeviceID
	for _, d := range all {
		c.described[d.ID] = d
		known := &device{Device: d.Device}
		if d.Actuator != nil {
			known.describe()
		}
		devices[d.ID] = known
		ids = append(ids, d.ID)
	}
	for _, id := range ids {
		d := devices[id]
		if c.described[id].Unknown {
			c.interlock(d, devices)
			continue
		}
		if d.Actuator == nil {
			for _, key := range d.Config.Keys() {
				c.fault(id, key, "has no place with a device that takes no commands")
			}
			continue
		}
		c.actions(d)
		c.outputs(d)
		c.interlock(d, devices)
	}
	c.circle(&Policy{devices: devices, ids: ids})
	return c.faults
}

type checker struct {
	described map[gateway.DeviceID]Described
	faults    map[gateway.DeviceID]error
}

func (c *checker) fault(id gateway.DeviceID, field, format string, args ...any) {
	c.faults[id] = errors.Join(c.faults[id], &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// actions checks what names actions and arguments.
func (c *checker) actions(d *device) {
	actions := make(map[string]gateway.Action)
	for _, a := range d.Actuator.Actions() {
		actions[a.Name] = a
	}
	names := strings.Join(slices.Sorted(maps.Keys(actions)), ", ")
	for _, name := range slices.Sorted(maps.Keys(d.Config.AllowActions)) {
		if _, known := actions[name]; !known {
			c.fault(d.ID, "allow_actions."+name, "the device has no action %s; want one of %s", name, names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Config.Limits)) {
		action, known := actions[name]
		if !known {
			c.fault(d.ID, "limits."+name, "the device has no action %s; want one of %s", name, names)
			continue
		}
		for _, arg := range slices.Sorted(maps.Keys(d.Config.Limits[name])) {
			c.limit(d, action, arg)
		}
	}
}

func (c *checker) limit(d *device, action gateway.Action, name string) {
	field := "limits." + action.Name + "." + name
	i := slices.IndexFunc(action.Args, func(a gateway.Arg) bool { return a.Name == name })
	if i < 0 {
		c.fault(d.ID, field, "%s has no argument %s", action.Name, name)
		return
	}
	arg, r := action.Args[i], d.Config.Limits[action.Name][name]
	low, high := higher(arg.Min, r.Min), lower(arg.Max, r.Max)
	switch {
	case arg.Type != gateway.ArgNumber && arg.Type != gateway.ArgInteger:
		c.fault(d.ID, field, "is a %s; only numbers have bounds", arg.Type)
	case low != nil && high != nil && *low > *high:
		c.fault(d.ID, field, "leaves nothing that is allowed; the driver wants %s", arg.Wants())
	}
}

// outputs checks what needs an output on, or a safe state.
func (c *checker) outputs(d *device) {
	for _, key := range []struct {
		name string
		time time.Duration
	}{{"min_on", d.Config.MinOn}, {"min_off", d.Config.MinOff}, {"max_on", d.Config.MaxOn}} {
		if key.time > 0 && !d.outputs[output] {
			c.fault(d.ID, key.name, "has no effect with the device, which has no output that is called on; leave it out")
		}
	}
	if len(d.rest) == 0 || d.Safer == nil {
		for _, key := range d.Config.needsRest() {
			c.fault(d.ID, key, "needs a safe state, which the device has not; give it one by its safe, or leave this out")
		}
		return
	}
	if on, _ := d.rest[output].Bool(); on && d.Config.MaxOn > 0 {
		c.fault(d.ID, "max_on", "its safe state is on, so that it could be on for ever; want safe: off, or no max_on")
	}
}

// interlock checks only_while.
func (c *checker) interlock(d *device, devices map[gateway.DeviceID]*device) {
	if d.Config.OnlyWhile == "" {
		return
	}
	exists := func(id gateway.DeviceID) bool { return devices[id] != nil }
	known := make(map[string]gateway.Value)
	for id, other := range c.described {
		for name, v := range other.Quantities {
			known[string(id)+"."+name] = v
		}
	}
	l, err := newInterlock(d.Config, exists, known)
	if err != nil {
		c.fault(d.ID, "only_while", "%v", err)
		return
	}
	d.interlock = l
	for _, in := range l.inputs {
		c.input(d, in, devices[in.device])
	}
}

func (c *checker) input(d *device, in input, of *device) {
	described := c.described[in.device]
	_, measured := described.Quantities[in.quantity]
	switch {
	case of.outputs[in.quantity] && of == d:
		c.fault(d.ID, "only_while", "%s is an output of the device itself; want quantities that it does not set", in.name)
	case of.outputs[in.quantity]:
	case !measured && described.Quantities != nil:
		c.fault(d.ID, "only_while", "device %s has no quantity %q; it has %s", in.device, in.quantity, strings.Join(slices.Sorted(maps.Keys(described.Quantities)), ", "))
	case described.Every >= d.Config.OnlyWhileMaxAge:
		c.fault(d.ID, "only_while", "%s is read every %v only, and a reading counts for %v; want only_while_max_age well above that, or a smaller every there",
			in.name, described.Every, d.Config.OnlyWhileMaxAge)
	}
}

// circle finds devices that need each other.
func (c *checker) circle(p *Policy) {
	groups := p.Order()
	last := groups[max(0, len(groups)-1):]
	for _, group := range last {
		for _, id := range group {
			for _, other := range group {
				if p.leans(id, other) {
					c.fault(id, "only_while", "%s and %s need each other, in a circle perhaps with others, so that neither could be made safe first; break the circle", id, other)
				}
			}
		}
	}
}
