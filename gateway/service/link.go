package service

import (
	"fmt"
	"path/filepath"

	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
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
func (s *Service) makeMeter() (err error) {
	s.meter, err = uplink.NewMeter(uplink.MeterOptions{
		File: filepath.Join(s.config.Gateway.DataDir, "usage.json"),
		Plan: s.config.upstream.plan(), Clock: s.clock, Log: s.log,
	})
	return err
}

// senderOptions are those of the one sender.
func (s *Service) senderOptions(u uplink.Upstream) uplink.Options {
	o := uplink.Options{
		Store: s.queue, Upstream: u, Log: s.log, Health: s.health, StartJitter: startJitter(),
		MaxRate: int64(s.config.upstream.MaxRate), Meter: s.meter,
	}
	for _, l := range s.queue.Stats().Lanes { // those that the config has no more, too
		if uplink.PurposeOf(l.Lane) == uplink.ForTelemetry {
			o.Telemetry = append(o.Telemetry, l.Lane)
		}
	}
	return o
}

// derivePlan states what the data plan changes.
func (s *Service) derivePlan() {
	if !s.meter.Planned() {
		return
	}
	st := s.meter.Standing()
	switch st.State {
	case uplink.PlanFree:
		s.health.Clear(conditionPlan)
	case uplink.PlanThinning:
		s.health.Raise(conditionPlan, health.Warning, fmt.Sprintf(
			"%d %% of the data plan is used: numeric readings are thinned to mean, min, max and count per %v until %s",
			st.ThinAt*100/st.Monthly, s.config.upstream.DataPlan.ThinWindow, resets(st)))
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
