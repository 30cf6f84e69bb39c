package scene

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/expression"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

// Known is what is known of the devices before they are at work.
type Known struct {
	// Devices are all that there are.
	Devices []gateway.DeviceID
	// Actions of those that take commands; nil if they are not known yet.
	Actions map[gateway.DeviceID][]gateway.Action
	// Quantities that devices deliver, with any value of their kind; there is no
	// entry for a device whose are not known.
	Quantities map[gateway.DeviceID]map[string]gateway.Value
}

// checker judges a Config.
type checker struct {
	Known
	config Config
	// unfit are the groups and scenes that contain themselves, or too much.
	unfit map[string]bool
	faults
}

// Check finds what cannot be right with these devices. The fields of its
// gateway.FieldErrors are those of the whole config file.
func Check(c Config, known Known) error {
	k := &checker{Known: known, config: c, unfit: make(map[string]bool)}
	k.names()
	k.endless()
	k.groups()
	k.scenes()
	return k.join()
}

// Actions are those of the groups and scenes of a Config, which may be wrong; nil if
// they are not known.
func Actions(c Config, known Known) map[gateway.DeviceID][]gateway.Action {
	k := &checker{Known: known, config: c, unfit: make(map[string]bool)}
	k.endless()
	all := make(map[gateway.DeviceID][]gateway.Action)
	for id := range c.parts() {
		all[gateway.DeviceID(id)] = k.actions(gateway.DeviceID(id))
	}
	return all
}

// names judges the names of groups and scenes.
func (k *checker) names() {
	taken := map[string]string{"gateway": "the gateway itself"}
	for _, id := range k.Devices {
		taken[string(id)] = "a device"
	}
	claim := func(field, id, what string) {
		if owner, is := taken[id]; is {
			k.add(field, "%q is the name of %s too; want a unique one", id, owner)
		}
		taken[id] = what
	}
	for _, id := range slices.Sorted(maps.Keys(k.config.Groups)) {
		if !idShape.MatchString(id) {
			k.add("groups."+id, "want a name of up to 63 letters, digits, dots, underscores and hyphens")
		}
		claim("groups."+id, id, "a group")
	}
	for i, s := range k.config.Scenes {
		claim(fmt.Sprintf("scenes[%d].id", i), s.ID, "another scene")
	}
}

func (k *checker) groups() {
	for _, id := range slices.Sorted(maps.Keys(k.config.Groups)) {
		members := k.config.Groups[id]
		field := "groups." + id
		if len(members) == 0 || len(members) > maxParts {
			k.add(field, "has %d devices; want 1 to %d", len(members), maxParts)
			continue
		}
		all, known := true, true
		for i, m := range members {
			if slices.Contains(members[:i], m) {
				k.add(fmt.Sprintf("%s[%d]", field, i), "%q stands there twice", m)
			}
			actions, is := k.target(fmt.Sprintf("%s[%d]", field, i), m)
			all, known = all && is, known && actions != nil
		}
		if all && known && len(k.actions(gateway.DeviceID(id))) == 0 {
			k.add(field, "its devices have no action in common; fieldpost devices shows what each can do")
		}
	}
}

func (k *checker) scenes() {
	for _, s := range k.config.Scenes {
		for j, step := range s.Steps {
			field := fmt.Sprintf("scenes[%s].steps[%d]", s.ID, j)
			if step.OnlyIf != "" {
				k.condition(field+".only_if", step.OnlyIf)
			}
			if step.Device == "" {
				continue
			}
			actions, ok := k.target(field+".device", step.Device)
			if !ok || actions == nil {
				continue
			}
			k.action(field, actions, step.Device, step.Action, step.Args)
			if step.Undo != nil {
				k.action(field+".undo", actions, step.Device, step.Undo.Action, step.Undo.Args)
			}
		}
	}
}

// target finds what a command is for, and its actions; nil if they are not known.
func (k *checker) target(field, name string) (actions []gateway.Action, ok bool) {
	names := k.targets()
	if !slices.Contains(names, name) {
		hint := ""
		switch near := config.Nearest(name, names); {
		case slices.Contains(k.Devices, gateway.DeviceID(name)):
			hint = ", but " + name + " takes none"
		case near != "":
			hint = fmt.Sprintf(" (did you mean %s?)", near)
		}
		k.add(field, "there is nothing named %q that takes commands%s; want one of %s", name, hint, strings.Join(names, ", "))
		return nil, false
	}
	return k.actions(gateway.DeviceID(name)), true
}

// targets are all that take commands.
func (k *checker) targets() []string {
	names := slices.Collect(maps.Keys(k.config.Groups))
	for _, s := range k.config.Scenes {
		names = append(names, s.ID)
	}
	for id := range k.Actions {
		names = append(names, string(id))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// actions of a device, group or scene; nil if they are not known.
func (k *checker) actions(id gateway.DeviceID) []gateway.Action {
	if k.unfit[string(id)] {
		return nil
	}
	if members, is := k.config.Groups[string(id)]; is {
		return common(members, k.actions)
	}
	if i := slices.IndexFunc(k.config.Scenes, func(s Plan) bool { return s.ID == string(id) }); i >= 0 {
		return k.config.Scenes[i].actions()
	}
	return k.Actions[id]
}

func (k *checker) action(field string, actions []gateway.Action, device, name string, args map[string]gateway.Value) {
	i := slices.IndexFunc(actions, func(a gateway.Action) bool { return a.Name == name })
	if i < 0 {
		var names []string
		for _, a := range actions {
			names = append(names, a.Name)
		}
		k.add(field+".action", "%s has no action %q; it has %s", device, name, strings.Join(names, ", "))
		return
	}
	a := actions[i]
	if err := a.Check(plain(args)); err != nil {
		k.add(field+".args", "%v", err)
	}
}

// condition judges an only_if.
func (k *checker) condition(field, text string) {
	is := func(id gateway.DeviceID) bool { return slices.Contains(k.Devices, id) }
	e, err := expression.Condition(text, nil)
	if err != nil {
		k.add(field, "%v", err)
		return
	}
	values := make(map[string]gateway.Value)
	for _, name := range e.Inputs {
		device, quantity, ok := latest.Split(name, is)
		if !ok {
			k.add(field, "there is no device %q for %s; want device.quantity", device, name)
			return
		}
		known, isKnown := k.Quantities[device]
		if v, has := known[quantity]; has {
			values[name] = v
		} else if isKnown {
			k.add(field, "%s has no %q; it has %s", device, quantity, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			return
		}
	}
	if _, err := expression.Condition(text, values); err != nil {
		k.add(field, "%v", err)
	}
}
