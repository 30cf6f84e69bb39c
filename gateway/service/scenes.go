package service

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/policy"
	"github.com/fieldpost/fieldpost/gateway/scene"
)

// checkScenes finds groups and scenes that cannot be right with these devices.
func (l *Loaded) checkScenes(root *config.Section) error {
	if len(l.Groups) == 0 && len(l.Scenes) == 0 {
		return nil
	}
	known := scene.Known{
		Actions:    map[gateway.DeviceID][]gateway.Action{ownDevice: itself{}.Actions()},
		Quantities: make(map[gateway.DeviceID]map[string]gateway.Value),
	}
	buses := bus.New(bus.Options{Configs: l.buses})
	defer func() { _ = buses.Close() }() // none of them was opened
	for _, spec := range l.devices {
		id := gateway.DeviceID(spec.ID)
		known.Devices = append(known.Devices, id)
		if spec.driver.Acts() {
			known.Actions[id] = spec.actions(buses)
		} else if quantities := spec.quantities(); quantities != nil {
			known.Quantities[id] = quantities
		}
	}
	for _, section := range l.Devices { // of those at fault it is only known that they are there
		text, _ := section.Text("id")
		if id := gateway.DeviceID(text); !slices.Contains(known.Devices, id) {
			known.Devices, known.Actions[id] = append(known.Devices, id), nil
		}
	}
	return root.Place(scene.Check(l.Config.Config, known))
}

// checkMembers warns of groups in which one member needs another: it is left to chance
// which of them comes first.
func (l *Loaded) checkMembers(root *config.Section) {
	ids := make(map[gateway.DeviceID]bool)
	for _, spec := range l.devices {
		ids[gateway.DeviceID(spec.ID)] = true
	}
	exists := func(id gateway.DeviceID) bool { return ids[id] }
	for _, name := range slices.Sorted(maps.Keys(l.Groups)) {
		for _, spec := range l.devices {
			if !slices.Contains(l.Groups[name], spec.ID) {
				continue
			}
			for _, id := range policy.Needs(spec.Terms, exists) {
				if slices.Contains(l.Groups[name], string(id)) {
					l.advice = append(l.advice, root.Errorf("groups."+name,
						"%s needs %s (only_while), and a group asks both at once, so that one may be denied for the other; want a scene, which has an order", spec.ID, id))
				}
			}
		}
	}
}

// touches tells whether one of the errors is in a section: its lists then lack what
// is at fault, so that nothing in them has its place any more.
func touches(err error, section string) bool {
	var all config.Errors
	return errors.As(err, &all) && slices.ContainsFunc(all, func(e *config.Error) bool { return strings.HasPrefix(e.Path, section+"[") })
}

// actions are what the device can be asked to do; nil if that is not known before it
// is at work.
func (s *deviceSpec) actions(buses *bus.Set) []gateway.Action {
	device, err := s.driver.Make(s.config, buses)
	if err != nil || device.Actuator == nil {
		return nil
	}
	return policy.Narrow(device.Actuator, s.Terms).Actions()
}

// quantities are those that the device delivers and those that are derived, with any
// value of their kind; nil if they are not known before.
func (s *deviceSpec) quantities() map[string]gateway.Value {
	m, ok := s.config.(measuring)
	if !ok {
		return nil
	}
	all := maps.Clone(m.Quantities())
	if all == nil {
		return nil
	}
	for name := range s.Derive {
		all[name] = gateway.Number(0)
	}
	return all
}

// newScenes makes the groups and scenes of a config, of these actuators.
func (s *Service) newScenes(a *assembly, actuators map[gateway.DeviceID]gateway.Actuator) (*scene.Set, error) {
	o := scene.Options{
		Config: a.config.Config.Config, Timeout: a.config.Commands.Timeout, Latest: s.latest, Clock: s.clock, Log: s.log,
		Actions: func(id gateway.DeviceID) []gateway.Action {
			if d := actuators[id]; d != nil {
				return d.Actions()
			}
			return nil
		},
		Outputs: a.outputsOf,
		Memory: func(id string) gateway.Memory {
			return newMemory(a.config.Gateway.DataDir, id, s.log.With("scene", id))
		},
	}
	for _, d := range a.devices {
		o.Devices = append(o.Devices, d.id)
	}
	return scene.New(o)
}

// outputsOf is what the outputs of a device are set to now; nil if nobody knows.
func (a *assembly) outputsOf(id gateway.DeviceID) map[string]gateway.Value {
	i := slices.IndexFunc(a.devices, func(d *device) bool { return d.id == id })
	if i < 0 || a.devices[i].can.Stateful == nil {
		return nil
	}
	return a.devices[i].can.Stateful.State()
}

// sceneStatus are the groups and scenes as devices: they can be asked for things.
func (s *Service) sceneStatus() (list []DeviceStatus) {
	now := s.now()
	all := now.control.scenes.Actuators()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		kind := "scene"
		if _, is := now.config.Groups[string(id)]; is {
			kind = "group"
		}
		list = append(list, DeviceStatus{ID: id, Driver: kind, State: "good", Actions: now.actions(all[id])})
	}
	return list
}
