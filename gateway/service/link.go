package service

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// conditionPlan stands while the data plan changes what is sent.
const conditionPlan = "data-plan"

// plan is the data plan in the uplink's terms; the zero Plan if there is none.
func (u UpstreamConfig) plan() uplink.Plan {
	c := u.DataPlan
	if c == nil {
		return uplink.Plan{}
	}
	return uplink.Plan{
		Monthly: uint64(c.Monthly), ResetsOn: c.ResetsOn,
		ThinAt: float64(c.ThinAt) / 100, ThinWindow: c.ThinWindow,
	}
}

// makeMeter counts what the upstream uses; the month is kept beside the queue.
func (s *Service) makeMeter(config *Loaded) (err error) {
	s.meter, err = uplink.NewMeter(uplink.MeterOptions{
		File: filepath.Join(config.Gateway.DataDir, "usage.json"),
		Plan: config.upstream.plan(), Clock: s.clock, Log: s.log,
	})
	return err
}

// link is the connection to the upstream, of the gateway itself and of its children,
// and where its files go.
type link struct {
	sender   *uplink.Sender
	children []childSender
	files    *upload.Way // nil if the upstream takes none
	stage    *stage
}

// childSender brings what the lanes of a child hold to the upstream.
type childSender struct {
	lane   gateway.Lane
	sender *uplink.Sender
}

// childDevices are the devices that belong to a child.
func (l *Loaded) childDevices() map[gateway.DeviceID]gateway.Lane {
	devices := make(map[gateway.DeviceID]gateway.Lane)
	for _, d := range l.devices {
		if lane := gateway.Lane(d.Lane); l.isChild(lane) {
			devices[gateway.DeviceID(d.ID)] = lane
		}
	}
	return devices
}

// newLink makes the sender of the gateway itself, and one for each child.
func (s *Service) newLink(a *assembly) (*link, error) {
	spec, dispatcher := a.config.upstream, a.control.dispatcher
	own := s.wiring(a.config, "", command.NewInbox(dispatcher))
	own.twin = twin{s}
	upstream, err := spec.kind.open(spec.config, own)
	if err != nil {
		return nil, err
	}
	o := s.senderOptions(a.config, upstream)
	o.Store = s.queue
	for _, l := range s.queue.Stats().Lanes { // those that the config has no more, too
		if uplink.PurposeOf(l.Lane) == uplink.ForTelemetry && !a.config.isChild(l.Lane) {
			o.Telemetry = append(o.Telemetry, l.Lane)
		}
	}
	l := &link{}
	if l.sender, err = uplink.New(o); err != nil {
		return nil, err
	}
	for _, c := range spec.children {
		sender, err := s.newChildSender(a.config, c, command.NewChildInbox(dispatcher, c.lane))
		if err != nil {
			return nil, fmt.Errorf("child with lane %s: %w", c.lane, err)
		}
		l.children = append(l.children, childSender{c.lane, sender})
	}
	l.files = s.wayOfFiles(a.config, upstream)
	return l, nil
}

func (s *Service) newChildSender(config *Loaded, c child, inbox *command.Inbox) (*uplink.Sender, error) {
	upstream, err := config.upstream.kind.open(c.config, s.wiring(config, c.lane, inbox))
	if err != nil {
		return nil, err
	}
	o := s.senderOptions(config, upstream)
	o.Health = s.health.Of(string(c.lane))
	o.Store, o.Telemetry = s.queue.Outlet(string(c.lane)), []gateway.Lane{c.lane}
	return uplink.New(o)
}

func (l *link) start(ctx context.Context, report func(error)) {
	l.stage = newStage(ctx, "uplink", report)
	l.stage.start(l.sender.Run)
	for _, c := range l.children {
		l.stage.start(c.sender.Run)
	}
}

func (l *link) stop() { l.stage.stop() }

// childStatus is how the children do.
func (l *link) childStatus() (list []ChildStatus) {
	for _, c := range l.children {
		list = append(list, ChildStatus{c.lane, sending(c.sender)})
	}
	return list
}

// wiring is what the upstream of the gateway, or of a child, is connected to.
func (s *Service) wiring(config *Loaded, child gateway.Lane, inbox *command.Inbox) wiring {
	w := wiring{gatewayID: s.id, clock: s.clock, inbox: inbox, log: s.log, health: s.health, dataDir: config.Gateway.DataDir, ca: s.ca}
	if child != "" {
		w.health, w.dataDir = s.health.Of(string(child)), filepath.Join(w.dataDir, "children", string(child))
	}
	return w
}

// senderOptions are what all senders have in common: they share the line.
func (s *Service) senderOptions(config *Loaded, u uplink.Upstream) uplink.Options {
	return uplink.Options{
		Upstream: u, Dater: s.dater, Log: s.log, Health: s.health, StartJitter: startJitter(),
		MaxRate: int64(config.upstream.MaxRate), Meter: s.meter,
	}
}

// derivePlan states what the data plan changes.
func (s *Service) derivePlan() {
	st := s.meter.Standing()
	switch st.State {
	case uplink.PlanFree:
		s.health.Clear(conditionPlan)
	case uplink.PlanThinning:
		s.health.Raise(conditionPlan, health.Warning, fmt.Sprintf(
			"%d %% of the data plan is used: numeric readings are thinned to mean, min, max and count per %v until %s",
			st.ThinAt*100/st.Monthly, s.meter.Thinning(), resets(st)))
	case uplink.PlanHeld:
		s.health.Raise(conditionPlan, health.Error, fmt.Sprintf(
			"the data plan of %d bytes is used up: telemetry waits in the queue until %s; alerts, results and gap records are still sent",
			st.Monthly, resets(st)))
	}
}

func resets(st uplink.Standing) string {
	if st.Resets.IsZero() {
		return "the month ends, which is not known before the time is"
	}
	return st.Resets.Format("2006-01-02 15:04 MST")
}
