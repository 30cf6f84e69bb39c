package service

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/policy"
)

// overridesFile keeps the manual overrides, in the data directory.
const overridesFile = "overrides.json"

// The actions of the gateway itself for manual control.
const (
	actionOverride = "override"
	actionRelease  = "release"
)

// defaultOverride is how long manual control lasts if nobody says.
const defaultOverride = time.Hour

// checkPolicy finds what cannot be right in what the config says about commands. What
// is wrong otherwise in a device is no fault of those that name it.
func (l *Loaded) checkPolicy() error {
	buses := bus.New(bus.Options{Configs: l.buses})
	defer func() { _ = buses.Close() }() // none of them was opened
	var described []policy.Described
	for _, spec := range l.devices {
		described = append(described, spec.described(buses))
	}
	for _, section := range l.Devices {
		text, _ := section.Text("id")
		same := func(d policy.Described) bool { return string(d.ID) == text }
		if text != "" && !slices.ContainsFunc(described, same) {
			described = append(described, policy.Described{Device: policy.Device{ID: gateway.DeviceID(text)}})
		}
	}
	faults := policy.Check(described)
	var errs []error
	for _, section := range l.Devices {
		text, _ := section.Text("id")
		if err := faults[gateway.DeviceID(text)]; err != nil {
			errs = append(errs, section.Place(err))
			delete(faults, gateway.DeviceID(text)) // of two with one id, the first
		}
	}
	return config.Join(errs...)
}

// described makes the device to see what it can do; that touches no hardware.
func (s *deviceSpec) described(buses *bus.Set) policy.Described {
	d := policy.Described{Device: policy.Device{ID: gateway.DeviceID(s.ID), Config: s.Terms}, Quantities: s.quantities()}
	if s.driver.Polled() {
		d.Every = s.Every
	}
	can, err := s.driver.Make(s.config, buses)
	switch {
	case err != nil || can.Actuator == nil:
	case can.Actuator.Actions() != nil:
		d.Actuator, d.Stateful, d.Safer = can.Actuator, can.Stateful, can.Safer
	default:
		d.Unknown = d.Quantities == nil // else it has nothing that could be asked for
	}
	return d
}

// newPolicy makes the policy of the devices of an assembly.
func (s *Service) newPolicy(a *assembly) (*policy.Policy, error) {
	o := policy.Options{
		Latest: s.latest, Clock: s.clock, Log: s.log, Health: s.health, Connected: s.connected, Event: s.event,
		Overrides: filepath.Join(a.config.Gateway.DataDir, overridesFile),
	}
	o.Devices, o.Exists = policed(a.devices), existing(a.devices)
	return policy.New(o)
}

// policed are the devices that take commands, as the policy sees them.
func policed(devices []*device) (list []policy.Device) {
	for _, d := range devices {
		if d.can.Actuator != nil {
			list = append(list, policy.Device{
				ID: d.id, Config: d.spec.Terms, Actuator: d.can.Actuator, Stateful: d.can.Stateful, Safer: d.can.Safer,
			})
		}
	}
	return list
}

// existing tells whether a device is one of these.
func existing(devices []*device) func(gateway.DeviceID) bool {
	ids := make(map[gateway.DeviceID]bool)
	for _, d := range devices {
		ids[d.id] = true
	}
	return func(id gateway.DeviceID) bool { return ids[id] }
}

// connected tells whether there is a session with the hub for a device.
func (s *Service) connected(id gateway.DeviceID) bool {
	now := s.now()
	if now.link == nil {
		return false
	}
	child := now.config.childDevices()[id]
	for _, c := range now.link.children {
		if c.lane == child {
			return c.sender.Stats().Connected
		}
	}
	return now.link.sender.Stats().Connected
}

// event sends one on its way, in the lane of alerts.
func (s *Service) event(e gateway.Event) error {
	alerts, err := s.lanes.alerts()
	if err != nil {
		return err
	}
	return alerts.Event(e)
}

// outputsChanged has the policy look at what has changed by itself.
func (s *Service) outputsChanged() {
	if p := s.now().policy; p != nil {
		p.Changed()
	}
}

// inOrder groups devices so that each comes before those that it leans on.
func inOrder(devices []*device, order [][]gateway.DeviceID) (groups [][]*device) {
	for _, ids := range order {
		var group []*device
		for _, d := range devices {
			if slices.Contains(ids, d.id) {
				group = append(group, d)
			}
		}
		groups = append(groups, group)
	}
	return groups
}

// relieve makes those safe that rely on devices which are about to be closed.
func (s *Service) relieve(ctx context.Context, left []*device) {
	ctx, cancel := context.WithTimeout(ctx, outputsTime)
	defer cancel()
	ids := make([]gateway.DeviceID, 0, len(left))
	for _, d := range left {
		ids = append(ids, d.id)
	}
	s.now().policy.Leave(ctx, ids...)
}

// overrideActions let somebody on site have a device to himself.
func overrideActions() []gateway.Action {
	least, most := 1.0, policy.MaxOverride.Minutes()
	device := gateway.Arg{Name: "device", Type: gateway.ArgText, Required: true, Help: "which device"}
	return []gateway.Action{{
		Name: actionOverride, Idempotent: true, Help: "Puts a device under manual control: only commands from this board are carried out for it. Only allowed on the board.",
		Args: []gateway.Arg{device, {
			Name: "minutes", Type: gateway.ArgInteger, Unit: "min", Min: &least, Max: &most, Help: fmt.Sprintf("how long, %.0f if left out", defaultOverride.Minutes()),
		}},
	}, {
		Name: actionRelease, Idempotent: true, Help: "Ends the manual control of a device. Only allowed on the board.",
		Args: []gateway.Arg{device},
	}}
}

// override begins or ends manual control.
func (g itself) override(cmd gateway.Command) (map[string]any, error) {
	if cmd.Origin != gateway.OriginLocal {
		return nil, fmt.Errorf("manual control begins and ends on site, by the command line on the board: %w", gateway.ErrDenied)
	}
	name, _ := cmd.Args["device"].(string)
	id, p := gateway.DeviceID(name), g.now().policy
	if cmd.Action == actionRelease {
		return map[string]any{"device": name}, p.Release(id)
	}
	minutes, _ := cmd.Args["minutes"].(float64)
	length := cmp.Or(time.Duration(minutes)*time.Minute, defaultOverride)
	if err := p.Override(id, length); err != nil {
		return nil, err
	}
	return map[string]any{"device": name, "until": time.Now().Add(length).UTC().Format(time.RFC3339)}, nil
}
