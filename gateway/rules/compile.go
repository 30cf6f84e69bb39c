package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

const (
	// MaxRules bounds the rules of a gateway.
	MaxRules = 200
	// maxMoments bounds the times of day of a rule.
	maxMoments = 24
	// maxAlertText bounds Rule.Alert, and a textual value in an alert, in bytes.
	maxAlertText = 1000
)

// Set is all rules of a config, found right.
type Set struct {
	rules []*rule
	zone  *time.Location
	// Advice is what is right and yet unwise.
	Advice []gateway.FieldError
}

// rule is a Rule in the terms of the program.
type rule struct {
	Rule
	when, until *expression.Expression // may be nil
	inputs      []input                // of both
	at          []moment
	window      *window // nil: the whole day
	days        days
	do          *command // may be nil, as otherwise
	otherwise   *command
}

// input is a quantity in the conditions of a rule.
type input struct {
	name     string // as in the condition
	device   gateway.DeviceID
	quantity string
	maxAge   time.Duration
}

// command is a Do in the terms of the dispatcher.
type command struct {
	device gateway.DeviceID
	action string
	args   map[string]any
}

// Compile makes a Set of the section rules. Its errors are gateway.FieldErrors by the
// names of the file, as rules[fan].when: a rule goes by its id.
func Compile(all []Rule, world World) (*Set, error) {
	c := compiler{world: world}
	set := &Set{zone: world.Zone}
	seen := make(map[string]bool)
	if len(all) > MaxRules {
		c.fault("rules", "has %d entries; want at most %d", len(all), MaxRules)
	}
	for i := range all {
		c.at = fmt.Sprintf("rules[%s]", all[i].ID)
		if seen[all[i].ID] {
			c.fault("id", "%q is the id of another rule too; want a unique one", all[i].ID)
		}
		seen[all[i].ID] = true
		set.rules = append(set.rules, c.rule(all[i]))
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	set.Advice = slices.Concat(circles(set.rules, world), never(set.rules, world))
	return set, nil
}

// never warns of parts of the day that are empty.
func never(rules []*rule, world World) (advice []gateway.FieldError) {
	for _, r := range rules {
		if r.window != nil && r.window.empty(world.Zone) {
			advice = append(advice, gateway.FieldError{
				Field:   fmt.Sprintf("rules[%s].between", r.ID),
				Problem: fmt.Sprintf("%s is never, wherever the gateway is: with the sun in it, only what begins after noon and ends before it goes on into the next day", r.Between),
			})
		}
	}
	return advice
}

// Len is how many rules there are.
func (s *Set) Len() int { return len(s.rules) }

// compiler collects what is wrong.
type compiler struct {
	world World
	at    string // the rule
	faults
}

func (c *compiler) fault(field, format string, args ...any) {
	c.add(strings.TrimPrefix(c.at+"."+field, "."), format, args...)
}

func (c *compiler) rule(config Rule) *rule {
	r := &rule{Rule: withDefaults(config)}
	c.shape(&config)
	r.when = c.condition(config.When, "when")
	r.until = c.condition(config.Until, "until")
	r.inputs = c.inputs(r)
	var err error
	if r.days, err = parseDays(config.Days); err != nil {
		c.fault("days", "%v", err)
	}
	if len(config.At) > maxMoments {
		c.fault("at", "has %d entries; want at most %d, or every", len(config.At), maxMoments)
	}
	for i, text := range config.At {
		m, err := parseMoment(text)
		field := fmt.Sprintf("at[%d]", i)
		switch {
		case err != nil:
			c.fault(field, "%v", err)
		case slices.ContainsFunc(r.at, func(other moment) bool { return other.text == m.text }):
			c.fault(field, "%s is there twice", m.text)
		}
		c.sun(field, m.sun != noEvent)
		r.at = append(r.at, m)
	}
	if config.Between != "" {
		if r.window, err = parseWindow(config.Between, r.days); err != nil {
			c.fault("between", "%v", err)
		} else {
			c.sun("between", r.window.needsSun())
		}
	}
	r.do, r.otherwise = c.command(config.Do, "do"), c.command(config.Otherwise, "otherwise")
	return r
}

func withDefaults(r Rule) Rule {
	r.IfSilent = cmp.Or(r.IfSilent, silentSafe)
	r.CatchUp = cmp.Or(r.CatchUp, defaultCatchUp)
	r.MinInterval = cmp.Or(r.MinInterval, defaultMinInterval)
	r.MaxPerMinute = cmp.Or(r.MaxPerMinute, defaultMaxPerMinute)
	return r
}

// sun finds that the position is not known.
func (c *compiler) sun(field string, needed bool) {
	if needed && !c.world.Positioned {
		c.fault(field, "needs the position of the gateway; want gateway.position with latitude and longitude, or with a device that tells them")
	}
}

// condition compiles one; nil if there is none, or it is faulty.
func (c *compiler) condition(text, field string) *expression.Expression {
	if text == "" {
		return nil
	}
	e, err := expression.Condition(text, c.known())
	switch {
	case err != nil:
		c.fault(field, "%v", err)
		return nil
	case len(e.Inputs) == 0:
		c.fault(field, "names no quantity, so that it would never change")
		return nil
	}
	for _, name := range e.Inputs {
		c.quantity(field, name)
	}
	return e
}

// known are the quantities of all devices whose kind is known.
func (c *compiler) known() map[string]gateway.Value {
	all := make(map[string]gateway.Value)
	for id, d := range c.world.Devices {
		for name, v := range d.Quantities {
			all[string(id)+"."+name] = v
		}
	}
	return all
}

// split parts the name of a quantity by the devices that there are.
func (c *compiler) split(name string) (device gateway.DeviceID, quantity string, ok bool) {
	return latest.Split(name, func(id gateway.DeviceID) bool { _, known := c.world.Devices[id]; return known })
}

// quantity finds one that there is not.
func (c *compiler) quantity(field, name string) {
	device, quantity, ok := c.split(name)
	if !ok {
		c.fault(field, "%s: there is no device %q; want device.quantity with one of %s", name, device, c.deviceNames(func(Device) bool { return true }))
		return
	}
	d := c.world.Devices[device]
	if _, has := d.Quantities[quantity]; d.Quantities != nil && !has {
		c.fault(field, "%s: device %s does not deliver %q; it delivers %s", name, device, quantity, strings.Join(slices.Sorted(maps.Keys(d.Quantities)), ", "))
	}
}

func (c *compiler) deviceNames(which func(Device) bool) string {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(c.world.Devices)) {
		if which(c.world.Devices[id]) {
			names = append(names, string(id))
		}
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// inputs are those of both conditions, each once.
func (c *compiler) inputs(r *rule) (all []input) {
	for _, e := range []*expression.Expression{r.when, r.until} {
		if e == nil {
			continue
		}
		for _, name := range e.Inputs {
			if slices.ContainsFunc(all, func(in input) bool { return in.name == name }) {
				continue
			}
			device, quantity, _ := c.split(name)
			age := cmp.Or(r.MaxAge, max(defaultMaxAge, 3*c.world.Devices[device].Every))
			all = append(all, input{name, device, quantity, age})
		}
	}
	return all
}

// command checks one, as far as the device is known; nil if there is none.
func (c *compiler) command(d *Do, field string) *command {
	if d == nil {
		return nil
	}
	cmd := &command{gateway.DeviceID(d.Device), d.Action, d.args()}
	device, there := c.world.Devices[cmd.device]
	switch {
	case !there || !device.Commanded:
		c.fault(field+".device", "%q is no device that can be asked to do something; want one of %s", d.Device, c.deviceNames(func(d Device) bool { return d.Commanded }))
		return cmd
	case device.Actions == nil:
		return cmd
	}
	i := slices.IndexFunc(device.Actions, func(a gateway.Action) bool { return a.Name == d.Action })
	if i < 0 {
		var names []string
		for _, a := range device.Actions {
			names = append(names, a.Name)
		}
		c.fault(field+".action", "%q is no action of device %s; want one of %s", d.Action, d.Device, strings.Join(names, ", "))
		return cmd
	}
	if err := device.Actions[i].Check(cmd.args); err != nil {
		c.fault(field+".args", "%v", strings.TrimSuffix(err.Error(), ": "+gateway.ErrDenied.Error()))
	}
	return cmd
}
