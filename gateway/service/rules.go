package service

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/policy"
	"github.com/fieldpost/fieldpost/gateway/rules"
	"github.com/fieldpost/fieldpost/gateway/scene"
)

// loadRules checks the rules against the devices, of which ids has all, also those
// in which something is wrong.
func (l *Loaded) loadRules(root *config.Section, ids []string) error {
	world := rules.World{Devices: l.ruleDevices(ids), Positioned: l.Gateway.Position != nil}
	var err error
	if world.Zone, err = l.Gateway.zone(); err != nil {
		world.Zone = time.UTC // it is told elsewhere
	}
	errs := []error{l.checkPosition(root, world.Devices)}
	if l.ruleSet, err = rules.Compile(l.Rules, world); err != nil {
		errs = append(errs, root.Place(err))
	} else {
		for _, a := range l.ruleSet.Advice {
			l.advice = append(l.advice, root.Errorf(a.Field, "%s", a.Problem))
		}
	}
	return config.Join(errs...)
}

// checkPosition finds that the device which tells it does not.
func (l *Loaded) checkPosition(root *config.Section, devices map[gateway.DeviceID]rules.Device) error {
	const field = "gateway.position.device"
	p := l.Gateway.Position
	if p == nil || p.Device == "" {
		return nil
	}
	d, known := devices[gateway.DeviceID(p.Device)]
	_, told := d.Quantities[quantityLatitude]
	switch {
	case !known:
		return root.Errorf(field, "there is no device %q; want one of %s", p.Device, join(slices.Sorted(maps.Keys(devices))))
	case d.Quantities != nil && !told:
		return root.Errorf(field, "device %s does not deliver latitude and longitude; want a receiver of satellite navigation, such as one with the driver nmea", p.Device)
	}
	return nil
}

func join(ids []gateway.DeviceID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, ", ")
}

// ruleDevices are the devices as rules see them. What is not known of one, such as
// whatever is wrong in the config, is no fault of a rule.
func (l *Loaded) ruleDevices(ids []string) map[gateway.DeviceID]rules.Device {
	all := map[gateway.DeviceID]rules.Device{ownDevice: {Commanded: true, Actions: itself{}.Actions()}}
	for _, id := range ids {
		all[gateway.DeviceID(id)] = rules.Device{Commanded: true}
	}
	buses := bus.New(bus.Options{Configs: l.buses})
	defer func() { _ = buses.Close() }() // none of them was opened
	for _, spec := range l.devices {
		all[gateway.DeviceID(spec.ID)] = spec.ruleDevice(buses)
	}
	for id := range l.Groups {
		all[gateway.DeviceID(id)] = rules.Device{Commanded: true}
	}
	for _, c := range l.Scenes {
		all[gateway.DeviceID(c.ID)] = rules.Device{Commanded: true}
	}
	scenes, err := scene.New(scene.Options{
		Config: l.Config.Config, Timeout: l.Commands.Timeout, Memory: func(string) gateway.Memory { return nil },
		Actions: func(id gateway.DeviceID) []gateway.Action { return all[id].Actions },
	})
	if err != nil {
		return all // it is told elsewhere
	}
	for id, a := range scenes.Actuators() {
		all[id] = rules.Device{Commanded: true, Actions: a.Actions()}
	}
	return all
}

// ruleDevice makes the device to see what it can do; that touches no hardware.
func (s *deviceSpec) ruleDevice(buses *bus.Set) rules.Device {
	d := rules.Device{Quantities: s.quantities(), Commanded: s.driver.Acts()}
	if s.driver.Polled() || config.HasKey(s.config, "every") {
		d.Every = s.Every
	}
	if p, ok := s.config.(interface{ Period() time.Duration }); ok {
		d.Every = p.Period()
	}
	can, err := s.driver.Make(s.config, buses)
	if err != nil || can.Actuator == nil {
		return d
	}
	d.Actions = policy.Narrow(can.Actuator, s.Terms).Actions()
	if can.Stateful != nil {
		if d.Quantities != nil {
			maps.Copy(d.Quantities, can.Stateful.AtRest())
		}
		d.Sets = func(cmd gateway.Command) []string { return slices.Sorted(maps.Keys(can.Stateful.After(cmd))) }
	}
	return d
}

// newRules makes the engine of the rules of an assembly.
func (s *Service) newRules(a *assembly, commands rules.Commander, actuators map[gateway.DeviceID]gateway.Actuator) (*rules.Engine, error) {
	alerts, err := s.lanes.alerts()
	if err != nil {
		return nil, err
	}
	stateful := make(map[gateway.DeviceID]gateway.Stateful)
	for _, d := range a.devices {
		if d.can.Stateful != nil {
			stateful[d.id] = d.can.Stateful
		}
	}
	return rules.NewEngine(rules.Options{
		Set: a.config.ruleSet, Board: s.latest, Clock: s.clock, Commands: commands, Safety: a.policy, Alerts: alerts,
		Actions: func(id gateway.DeviceID) []gateway.Action {
			if a := actuators[id]; a != nil {
				return a.Actions()
			}
			return nil
		},
		Outputs: func(id gateway.DeviceID) map[string]gateway.Value {
			if d := stateful[id]; d != nil {
				return d.State()
			}
			return nil
		},
		Position: func() (rules.Position, bool) { return a.config.Gateway.where(s.latest) },
		Memory:   &memory{path: filepath.Join(a.config.Gateway.DataDir, "rules.memory"), log: s.log, limit: rules.MaxMemory},
		Self:     ownDevice, Log: s.log, Health: s.health,
	})
}

// ruleStatus is how the rules do, with their moments.
func (s *Service) ruleStatus() []RuleStatus {
	list, now := s.now().control.rules.Status(), time.Now()
	for i := range list {
		r := &list[i]
		r.Since, r.LastFired, r.Next = moment(r.Since, now), moment(r.LastFired, now), moment(r.Next, now)
	}
	return list
}

// rules answers GET /v1/rules.
func (s *Service) rules() RulesStatus {
	c := s.now().config.Gateway
	st := RulesStatus{Zone: c.zoneName(), Rules: s.ruleStatus()}
	if p, known := c.where(s.latest); known {
		st.Position = &p
	}
	return st
}
