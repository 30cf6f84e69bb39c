package service

import (
	"context"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/policy"
)

// apply changes what differs and leaves the rest alone. Commands wait meanwhile.
func (s *Service) apply(ctx context.Context, next *Loaded, d difference) error {
	now := s.now()
	after := &assembly{config: next, policy: now.policy, control: now.control, link: now.link}
	if d.control {
		if err := s.changeDevices(ctx, after, d); err != nil {
			return err
		}
	} else {
		s.gather(ctx, after, d)
		s.rememberInForce(next)
		s.current.Store(after)
	}
	s.refit(after.settable())
	for _, device := range after.devices {
		if device.stage == nil {
			device.start(ctx, s.fail)
		}
	}
	s.lanes.setBounds(next.Batch)
	if s.uploads != nil {
		s.uploads.SetMaxBytes(int64(next.Uploads.MaxBytes))
	}
	if d.link {
		s.relink(ctx, *after)
	}
	if d.Metrics {
		s.scraped.stop()
		s.scraped = s.serveMetrics(ctx, next.Metrics)
	}
	return s.endFormerAlerts(next, s.alerter)
}

// changeDevices makes the control of other devices, and of what else decides about
// them, while no command is carried out. The policy watches over the outputs for as long
// as devices are closed and opened, and the next one takes over at once.
func (s *Service) changeDevices(ctx context.Context, after *assembly, d difference) error {
	patience, cancel := context.WithTimeout(ctx, reloadPatience)
	defer cancel()
	before := after.control
	return before.dispatcher.Change(patience, func() command.Devices {
		before.deciding.stop()
		s.relieve(ctx, d.left)
		s.retire(d.left)
		if err := s.buses.Change(after.config.buses); err != nil {
			s.log.Error("a bus was left behind", "error", err)
		}
		s.rememberInForce(after.config)
		s.gather(ctx, after, d)
		before.guarding.stop()
		s.forget(d.left)
		control, devices, err := s.succeed(before, after)
		if err != nil { // its parts were tried before
			s.current.Store(after) // what is open has to be closed
			s.fail(fmt.Errorf("reload: %w", err))
			return devices
		}
		after.control = control
		s.current.Store(after)
		control.decide(ctx, s.fail)
		return devices
	})
}

// retire ends devices: outputs take their safe state. The condition of one that does
// not stays, though nobody may know of the device any more.
func (s *Service) retire(devices []*device) {
	stopAll(devices)
	if err := closeDevices(devices); err != nil {
		s.log.Error("a device was left behind", "error", err)
	}
}

// forget forgets what was known of devices that are no more.
func (s *Service) forget(devices []*device) {
	for _, d := range devices {
		s.latest.Forget(d.id)
		s.health.Clear(policy.Condition(d.id))
	}
}

// gather puts the devices of an assembly together: those that are kept, and new ones,
// whose outputs take their safe state before anything can be asked of them.
func (s *Service) gather(ctx context.Context, after *assembly, d difference) {
	var fresh []*device
	for _, spec := range after.config.devices {
		one := d.kept[gateway.DeviceID(spec.ID)]
		if one == nil {
			one = s.newDevice(spec, after.config.Gateway.DataDir)
			if err := s.connect(one, after.config); err != nil { // its parts were tried before
				s.fail(fmt.Errorf("reload: %w", err))
				continue
			}
			fresh = append(fresh, one)
		}
		after.devices = append(after.devices, one)
	}
	makeSafe(ctx, fresh)
}

// tryLink makes sure that the upstream of a config can be made, and connects nothing.
func (s *Service) tryLink(next *Loaded) error {
	spec := next.upstream
	all := append([]child{{"", spec.config}}, spec.children...)
	for _, c := range all {
		if _, err := spec.kind.open(c.config, s.wiring(next, c.lane, nil)); err != nil {
			return err
		}
	}
	return nil
}

// relink makes the connection to the upstream anew. What is in flight is acknowledged,
// or sent once more.
func (s *Service) relink(ctx context.Context, after assembly) {
	after.link.stop()
	err := s.meter.SetPlan(after.config.upstream.plan())
	if err == nil {
		after.link, err = s.newLink(&after)
	}
	if err != nil { // tryLink has made one
		s.fail(fmt.Errorf("reload: %w", err))
		return
	}
	if s.uploads != nil && after.link.files != nil {
		s.uploads.Redirect(*after.link.files)
	}
	s.current.Store(&after)
	after.link.start(ctx, s.fail)
}
