package service

import (
	"errors"
	"fmt"
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
		l.checkAllowed(root)
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
	known := scene.Known{Actions: make(map[gateway.DeviceID][]gateway.Action)}
	for id, d := range all {
		if d.Commanded {
			known.Actions[id] = d.Actions
		}
	}
	for id, actions := range scene.Actions(l.Config.Config, known) {
		all[id] = rules.Device{Commanded: true, Actions: actions}
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
		Set: a.config.ruleSet, Board: s.latest, Clock: s.clock, Commands: commands, Safety: safety{a}, Alerts: alerts,
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

// safety takes devices to their safe state on behalf of rules; of a group, its members.
type safety struct{ *assembly }

// Safe implements rules.Safer.
func (s safety) Safe(id gateway.DeviceID, why string) error {
	members, isGroup := s.config.Groups[string(id)]
	if !isGroup {
		return s.policy.Safe(id, why)
	}
	var errs []error
	for _, m := range members {
		errs = append(errs, s.Safe(gateway.DeviceID(m), why))
	}
	return errors.Join(errs...)
}

// Resting implements rules.Safer.
func (s safety) Resting(id gateway.DeviceID) bool {
	for _, d := range s.devices {
		if d.id != id || d.can.Stateful == nil {
			continue
		}
		rest, state := d.can.Stateful.AtRest(), d.can.Stateful.State()
		for name, v := range rest {
			if now, known := state[name]; !known || now != v {
				return false
			}
		}
		return len(rest) > 0
	}
	return false
}

// checkAllowed warns of rules whose device takes no commands from rules.
func (l *Loaded) checkAllowed(root *config.Section) {
	for _, r := range l.Rules {
		for key, do := range map[string]*rules.Do{"do": r.Do, "otherwise": r.Otherwise} {
			if do == nil {
				continue
			}
			for _, spec := range l.devices {
				if spec.ID == do.Device && !spec.obeysRules(do.Action) {
					l.advice = append(l.advice, root.Errorf(fmt.Sprintf("rules[%s].%s.device", r.ID, key),
						"device %s does not take %s from rules (allow, allow_actions), so that this has no effect", do.Device, do.Action))
				}
			}
		}
	}
}

// obeysRules tells whether rules may ask the device for an action at all.
func (s *deviceSpec) obeysRules(action string) bool {
	const rule = string(gateway.OriginRule)
	who, narrower := s.AllowActions[action]
	return (s.Allow == nil || slices.Contains(s.Allow, rule)) && (!narrower || slices.Contains(who, rule))
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
