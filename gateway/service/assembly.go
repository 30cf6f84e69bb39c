package service

import (
	"context"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/policy"
)

// assembly is the gateway as one config describes it. Each of its parts has a life of
// its own: it is made, which disturbs nobody, started and stopped. Once it is
// complete, nothing in it changes.
type assembly struct {
	config  *Loaded
	devices []*device
	policy  *policy.Policy
	control *control
	link    *link
}

// now is the assembly in force.
func (s *Service) now() *assembly { return s.current.Load() }

// assemble connects the parts; see ARCHITECTURE.md for the picture.
func (s *Service) assemble(a *assembly) (err error) {
	if err := s.connectDevices(a); err != nil {
		return err
	}
	if a.control, err = s.newControl(a); err != nil {
		return err
	}
	if a.link, err = s.newLink(a); err != nil {
		return err
	}
	s.openUploads(a.config, a.link.files)
	s.makeRemote(a)
	s.makeWanted(a)
	return nil
}

// keeper is that of a device; nil if there is none.
func (a *assembly) keeper(id gateway.DeviceID) *drivers.Keeper {
	for _, d := range a.devices {
		if d.id == id {
			return d.keeper
		}
	}
	return nil
}

// start starts all parts, in the order of the data's way back.
func (a *assembly) start(ctx context.Context, report func(error)) {
	a.link.start(ctx, report)
	a.control.start(ctx, report)
	for _, d := range a.devices {
		d.start(ctx, report)
	}
}

// close brings the outputs into their safe state and closes the devices.
func (a *assembly) close() error {
	if a.policy != nil {
		a.policy.Rest()
	}
	return closeDevices(a.devices)
}

// connectDevices gives each device its way into the batcher of its lane, and
// its alerts theirs.
func (s *Service) connectDevices(a *assembly) error {
	for _, d := range a.devices {
		if err := s.connect(d, a.config); err != nil {
			return err
		}
	}
	return s.endFormerAlerts(a.config, s.alerter)
}

// alerter is where alerts go.
func (s *Service) alerter() (pipeline.Alerter, error) { return s.lanes.alerts() }
