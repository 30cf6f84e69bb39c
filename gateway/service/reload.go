package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/policy"
)

// conditionReload stands while the config file is another one than that in force, and
// was refused.
const conditionReload = "config-refused"

// reloadPatience is how long commands under way may take to end.
const reloadPatience = 30 * time.Second

// Reloaded is the answer to POST /v1/reload: what is different by now.
type Reloaded struct {
	Added   []gateway.DeviceID `json:"added,omitempty"`
	Removed []gateway.DeviceID `json:"removed,omitempty"`
	// Reopened were closed and opened anew, since they, or their buses, are others.
	Reopened []gateway.DeviceID `json:"reopened,omitempty"`
	// Tuned have other settings and were not disturbed.
	Tuned []gateway.DeviceID `json:"tuned,omitempty"`
	// Upstream is true if its connection is made anew.
	Upstream bool `json:"upstream,omitempty"`
	// Advice is what is right in the new config and yet unwise.
	Advice []string `json:"advice,omitempty"`
}

// reloadRequest is a wish for a reload, which is answered once.
type reloadRequest struct {
	answer chan<- reloadAnswer
}

type reloadAnswer struct {
	done Reloaded
	err  error
}

// reloadWhenAsked reads the config file anew when somebody asks for it, one reload at
// a time, until ctx ends.
func (s *Service) reloadWhenAsked(ctx context.Context, p Process) error {
	for {
		select {
		case <-p.Reload:
			_, _ = s.reload(ctx, p) // the log and a condition say what came of it
		case r := <-s.reloads:
			done, err := s.reload(ctx, p)
			r.answer <- reloadAnswer{done, err}
		case <-ctx.Done():
			return nil
		}
	}
}

// reload answers POST /v1/reload.
func (a *api) reload(w http.ResponseWriter, r *http.Request) {
	answered := make(chan reloadAnswer, 1)
	select {
	case a.reloads <- reloadRequest{answered}:
	case <-r.Context().Done():
		return
	}
	switch got := <-answered; {
	case errors.As(got.err, new(config.Errors)):
		fault(w, http.StatusUnprocessableEntity, got.err)
	case got.err != nil:
		fault(w, http.StatusConflict, got.err)
	default:
		answer(w, got.done)
	}
}

// reload puts the config file in force. On an error, all of the config before is.
func (s *Service) reload(ctx context.Context, p Process) (Reloaded, error) {
	s.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	defer s.notify(daemon.SdNotifyReady)
	next, err := Load(s.now().config.path)
	var d difference
	if err == nil {
		d, err = s.now().compare(next, s.buses)
	}
	if err == nil && d.link {
		err = s.tryLink(next)
	}
	if err == nil {
		err = s.apply(ctx, next, d)
	}
	if err != nil {
		why := firstOf(err)
		s.health.Raise(conditionReload, health.Warning, "the config file was not put in force; the next start will find it as it is: "+why)
		s.log.Error("config refused, the one before stays in force", "error", why)
		return Reloaded{}, err
	}
	s.health.Clear(conditionReload)
	if p.Level != nil {
		_ = p.Level.UnmarshalText([]byte(next.Gateway.Log)) // it is one of those that exist
	}
	for _, advice := range next.Advice() {
		s.log.Warn("config", "advice", advice)
		d.Advice = append(d.Advice, advice.Error())
	}
	s.log.Info("config in force", "added", d.Added, "removed", d.Removed, "reopened", d.Reopened, "tuned", d.Tuned, "upstream", d.Upstream)
	return d.Reloaded, nil
}

// firstOf is an error in one line: of the faults of a file, the first one.
func firstOf(err error) string {
	var faults config.Errors
	if !errors.As(err, &faults) || len(faults) < 2 {
		return err.Error()
	}
	return fmt.Sprintf("%v; and %d more, see: fieldpost check", faults[0], len(faults)-1)
}

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
	}
	s.lanes.setBounds(next.Batch)
	if s.uploads != nil {
		s.uploads.SetMaxBytes(int64(next.Uploads.MaxBytes))
	}
	if d.link {
		s.relink(ctx, after)
	}
	s.current.Store(after)
	s.refit(after.settable())
	if after.control != now.control {
		after.control.decide(ctx, s.fail)
	}
	for _, device := range after.devices {
		if device.stage == nil {
			device.start(ctx, s.fail)
		}
	}
	return s.endFormerAlerts(next, s.alerter)
}

// changeDevices makes the control of other devices, and of what else decides about
// them, while no command is carried out.
func (s *Service) changeDevices(ctx context.Context, after *assembly, d difference) error {
	patience, cancel := context.WithTimeout(ctx, reloadPatience)
	defer cancel()
	before := after.control
	return before.dispatcher.Change(patience, func() command.Devices {
		before.deciding.stop()
		s.relieve(ctx, d.left)
		before.guarding.stop()
		s.retire(d.left)
		if err := s.buses.Change(after.config.buses); err != nil {
			s.log.Error("a bus was left behind", "error", err)
		}
		s.rememberInForce(after.config)
		s.gather(ctx, after, d)
		control, devices, err := s.succeed(before, after)
		if err != nil { // its parts were tried before
			s.fail(fmt.Errorf("reload: %w", err))
			return devices
		}
		after.control = control
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
func (s *Service) relink(ctx context.Context, after *assembly) {
	after.link.stop()
	err := s.meter.SetPlan(after.config.upstream.plan())
	if err == nil {
		after.link, err = s.newLink(after)
	}
	if err != nil { // tryLink has made one
		s.fail(fmt.Errorf("reload: %w", err))
		return
	}
	if s.uploads != nil && after.link.files != nil {
		s.uploads.Redirect(*after.link.files)
	}
	after.link.start(ctx, s.fail)
}

// Text says for people what has changed.
func (r Reloaded) Text() string {
	var parts []string
	for _, part := range []struct {
		what    string
		devices []gateway.DeviceID
	}{{"new", r.Added}, {"removed", r.Removed}, {"opened anew", r.Reopened}, {"with other settings", r.Tuned}} {
		if len(part.devices) > 0 {
			names := make([]string, 0, len(part.devices))
			for _, id := range part.devices {
				names = append(names, string(id))
			}
			slices.Sort(names)
			parts = append(parts, part.what+": "+strings.Join(names, ", "))
		}
	}
	if r.Upstream {
		parts = append(parts, "the connection to the upstream is made anew")
	}
	if len(parts) == 0 {
		return "in force, no device and no connection is another"
	}
	return "in force; " + strings.Join(parts, "; ")
}
