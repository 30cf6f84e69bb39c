package service

import (
	"maps"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/exposition"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/rules"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/storeforward"
)

// Metrics is the status as numbers, for Prometheus and what reads the same: a page in the
// format of package exposition. Labels are names out of the config and words of this
// program, so that their number is bounded and none is a secret. Ages stand for moments,
// since nobody else has the clock of a board that does not know the time.
func (s Status) Metrics() []byte {
	var p exposition.Page
	s.processMetrics(&p)
	s.queueMetrics(&p)
	s.uplinkMetrics(&p)
	s.planMetrics(&p)
	s.deviceMetrics(&p)
	s.outputMetrics(&p)
	s.commandMetrics(&p)
	s.ruleMetrics(&p)
	return p.Bytes()
}

func (s Status) processMetrics(p *exposition.Page) {
	p.Gauge("fieldpost_build_info", "Which program runs, as which gateway; always 1.",
		sample(1, "gateway", s.Gateway, "version", s.Version, "commit", s.Commit))
	p.Gauge("fieldpost_start_time_seconds", "When the gateway was started, since 1970.", sample(float64(s.Started.UnixMilli())/1000))
	p.Gauge("fieldpost_resident_memory_bytes", "Resident memory, mapped files included.", sample(float64(s.Memory.RSSBytes)))
	p.Gauge("fieldpost_goroutines", "Goroutines.", sample(float64(s.Memory.Goroutines)))
	p.Gauge("fieldpost_clock_trusted", "Whether the gateway knows the time.", sample(truth(s.ClockTrusted)))
	var list []exposition.Sample
	for _, c := range s.Conditions {
		list = append(list, sample(1, "code", c.Code, "severity", string(c.Severity)))
	}
	p.Gauge("fieldpost_health_condition", "What is wrong now: 1 for each condition that stands.", list...)
}

// lossReasons are all there are for messages.
var lossReasons = []gateway.GapReason{
	gateway.GapOverflow, gateway.GapExpired, gateway.GapRejected, gateway.GapPurged, gateway.GapDamaged, storeforward.Removed,
}

func (s Status) queueMetrics(p *exposition.Page) {
	q := s.Queue
	// A store is named only where it is an earlier one, whose lane would be taken for the
	// one of today.
	name := func(l storeforward.LaneStats) []string {
		if l.Store == q.Store {
			return []string{"lane", string(l.Lane)}
		}
		return []string{"lane", string(l.Lane), "store", l.Store}
	}
	lanes := func(number func(storeforward.LaneStats) float64) []exposition.Sample {
		return samples(q.Lanes, func(l storeforward.LaneStats) exposition.Sample { return sample(number(l), name(l)...) })
	}
	p.Gauge("fieldpost_queue_messages", "Messages that wait.", lanes(func(l storeforward.LaneStats) float64 { return float64(l.Waiting) })...)
	p.Gauge("fieldpost_queue_bytes", "What a lane takes of queue.max_bytes.", lanes(func(l storeforward.LaneStats) float64 { return float64(l.Bytes) })...)
	p.Gauge("fieldpost_queue_oldest_message_age_seconds", "How long the oldest message has waited, at least; 0 if none waits.", lanes(func(l storeforward.LaneStats) float64 { return l.OldestAge })...)
	p.Gauge("fieldpost_queue_held", "Whether a lane is held back, as by a data plan that is used up.", lanes(func(l storeforward.LaneStats) float64 { return truth(l.Held) })...)
	p.Counter("fieldpost_queue_messages_accepted_total", "Messages taken in.", lanes(func(l storeforward.LaneStats) float64 { return float64(l.Accepted) })...)
	p.Counter("fieldpost_queue_messages_acknowledged_total", "Messages that the upstream has confirmed.", lanes(func(l storeforward.LaneStats) float64 { return float64(l.Acked) })...)
	var lost []exposition.Sample
	for _, l := range q.Lanes {
		for _, reason := range lossReasons {
			lost = append(lost, sample(float64(l.LostBy[reason]), append(name(l), "reason", string(reason))...))
		}
	}
	p.Counter("fieldpost_queue_messages_lost_total", "Messages given up; those that were rejected have become dead letters.", lost...)
	p.Gauge("fieldpost_queue_limit_bytes", "queue.max_bytes.", sample(float64(q.MaxBytes)))
	p.Gauge("fieldpost_queue_disk_free_bytes", "What the file system of the queue has left.", sample(float64(q.DiskFree)))
	p.Counter("fieldpost_queue_accepted_bytes_total", "Size of what messages taken in say.", sample(float64(q.BytesAccepted)))
	p.Counter("fieldpost_written_bytes_total", "What the gateway has caused to be written to disk.", sample(float64(q.DeviceBytes)))
	p.Counter("fieldpost_queue_commits_total", "Transactions synced to disk.", sample(float64(q.Commits)))
	p.Counter("fieldpost_queue_commit_failures_total", "Transactions that could not be written or synced.", sample(float64(q.Failures)))
}

func (s Status) uplinkMetrics(p *exposition.Page) {
	all := append([]ChildStatus{{"", s.Upstream}}, s.Children...)
	each := func(number func(UpstreamStatus) float64) []exposition.Sample {
		return samples(all, func(c ChildStatus) exposition.Sample {
			return sample(number(c.UpstreamStatus), "child", string(c.Lane))
		})
	}
	p.Gauge("fieldpost_uplink_connected", "Whether there is a session with the upstream.", each(func(u UpstreamStatus) float64 { return truth(u.Connected) })...)
	p.Counter("fieldpost_uplink_messages_published_total", "Messages sent.", each(func(u UpstreamStatus) float64 { return float64(u.Published) })...)
	p.Counter("fieldpost_uplink_messages_acknowledged_total", "Messages that the upstream has confirmed.", each(func(u UpstreamStatus) float64 { return float64(u.Acknowledged) })...)
	p.Counter("fieldpost_uplink_messages_resent_total", "Messages that were in flight when a session ended, and so are sent again.", each(func(u UpstreamStatus) float64 { return float64(u.Resent) })...)
	p.Counter("fieldpost_uplink_messages_rejected_total", "Messages that can never be sent.", each(func(u UpstreamStatus) float64 { return float64(u.Rejected) })...)
	p.Counter("fieldpost_uplink_reconnects_total", "Sessions after the first one.", each(func(u UpstreamStatus) float64 { return float64(u.Reconnects) })...)
	var confirmed, bytes []exposition.Sample
	for _, c := range all {
		if !c.LastPuback.IsZero() {
			confirmed = append(confirmed, sample(s.age(c.LastPuback), "child", string(c.Lane)))
		}
	}
	p.Gauge("fieldpost_uplink_last_acknowledgement_age_seconds", "How long ago the upstream has last confirmed a message; absent until it has.", confirmed...)
	b := s.Upstream.Bytes
	for _, part := range []struct {
		purpose string
		uplink.Traffic
	}{{"telemetry", b.Telemetry}, {"records", b.Records}, {"commands", b.Commands}, {"keep_alive", b.KeepAlive}, {"uploads", b.Uploads}, {"connection", b.Connection}} {
		bytes = append(bytes, sample(float64(part.In), "purpose", part.purpose, "direction", "in"), sample(float64(part.Out), "purpose", part.purpose, "direction", "out"))
	}
	p.Counter("fieldpost_uplink_bytes_total", "Bytes on the line, seen from the gateway, TLS included.", bytes...)
}

func (s Status) planMetrics(p *exposition.Page) {
	plan := s.Upstream.Plan
	if plan == nil {
		return
	}
	p.Gauge("fieldpost_data_plan_used_bytes", "What the month of the data plan has used.", sample(float64(plan.Used)))
	p.Gauge("fieldpost_data_plan_limit_bytes", "What the data plan allows in a month.", sample(float64(plan.Monthly)))
	p.Gauge("fieldpost_data_plan_state", "1 for what the data plan demands now.",
		oneOf([]uplink.PlanState{uplink.PlanFree, uplink.PlanThinning, uplink.PlanHeld}, plan.State)...)
}

func (s Status) deviceMetrics(p *exposition.Page) {
	each := func(number func(DeviceStatus) float64) []exposition.Sample {
		return samples(s.Devices, func(d DeviceStatus) exposition.Sample { return sample(number(d), "device", string(d.ID)) })
	}
	p.Gauge("fieldpost_device_info", "Which driver a device has; always 1.",
		samples(s.Devices, func(d DeviceStatus) exposition.Sample { return sample(1, "device", string(d.ID), "driver", d.Driver) })...)
	var states, ages, sent, bad, dropped []exposition.Sample
	for _, d := range s.Devices {
		id := string(d.ID)
		states = append(states, oneOf([]pipeline.State{pipeline.Starting, pipeline.Good, pipeline.Failing, pipeline.Absent, pipeline.Stuck, pipeline.Disabled}, pipeline.State(d.State), "device", id)...)
		if !d.LastRead.IsZero() {
			ages = append(ages, sample(s.age(d.LastRead), "device", id))
		}
		if d.Processing != nil {
			sent = append(sent, sample(float64(d.Processing.Sent), "device", id))
			bad = append(bad, sample(float64(d.Processing.Bad), "device", id))
			dropped = append(dropped, sample(float64(d.Processing.Dropped), "device", id))
		}
	}
	p.Gauge("fieldpost_device_state", "1 for the state that a device is in.", states...)
	p.Counter("fieldpost_device_reads_total", "Reads begun; of a device that speaks by itself, arrivals of readings.", each(func(d DeviceStatus) float64 { return float64(d.Reads) })...)
	p.Counter("fieldpost_device_failures_total", "Reads that ended with an error, or not in time.", each(func(d DeviceStatus) float64 { return float64(d.Failures) })...)
	p.Gauge("fieldpost_device_last_reading_age_seconds", "How long ago readings last came in; absent until they have.", ages...)
	p.Counter("fieldpost_device_readings_sent_total", "Readings handed on to the queue.", sent...)
	p.Counter("fieldpost_device_readings_bad_total", "Numbers outside of their valid range.", bad...)
	p.Counter("fieldpost_device_readings_dropped_total", "Numbers that were not handed on because they were out of range, or none.", dropped...)
	p.Gauge("fieldpost_device_alerts", "Alerts that have begun and not ended.", each(func(d DeviceStatus) float64 { return float64(len(d.Alerts)) })...)
}

// outputMetrics are what the policy knows of the devices that take commands.
func (s Status) outputMetrics(p *exposition.Page) {
	var safe, manual []exposition.Sample
	for _, d := range s.Devices {
		if d.Output == nil {
			continue
		}
		if d.Output.Safe == "yes" || d.Output.Safe == "no" {
			safe = append(safe, sample(truth(d.Output.Safe == "yes"), "device", string(d.ID)))
		}
		manual = append(manual, sample(truth(!d.Output.OverrideUntil.IsZero()), "device", string(d.ID)))
	}
	p.Gauge("fieldpost_device_safe", "Whether the outputs of a device are in their safe state; absent while that is not known.", safe...)
	p.Gauge("fieldpost_device_override", "Whether a device is under manual control on site.", manual...)
}

// finals are the final states of commands.
var finals = []gateway.Status{gateway.StatusDone, gateway.StatusFailed, gateway.StatusExpired, gateway.StatusDenied, gateway.StatusUnknownOutcome}

func (s Status) commandMetrics(p *exposition.Page) {
	var ended []exposition.Sample
	for _, origin := range slices.Sorted(maps.Keys(s.Commands.FinalBy)) {
		for _, status := range finals {
			ended = append(ended, sample(float64(s.Commands.FinalBy[origin][status]), "origin", string(origin), "status", string(status)))
		}
	}
	p.Counter("fieldpost_commands_total", "Commands that have reached their final state.", ended...)
	p.Gauge("fieldpost_commands_waiting", "Commands that are journalled and not begun.", sample(float64(s.Commands.Waiting)))
	p.Counter("fieldpost_commands_repeated_total", "Commands that came again after their final state.", sample(float64(s.Commands.Repeated)))
	p.Counter("fieldpost_commands_refused_total", "Input that is no command.", sample(float64(s.Commands.Refused)))
}

func (s Status) ruleMetrics(p *exposition.Page) {
	each := func(number func(RuleStatus) float64) []exposition.Sample {
		return samples(s.Rules, func(r RuleStatus) exposition.Sample { return sample(number(r), "rule", r.ID) })
	}
	var states []exposition.Sample
	for _, r := range s.Rules {
		states = append(states, oneOf([]rules.State{rules.Off, rules.Pending, rules.On, rules.Suspended, rules.Scheduled}, r.State, "rule", r.ID)...)
	}
	p.Gauge("fieldpost_rule_state", "1 for the state that a rule is in.", states...)
	p.Gauge("fieldpost_rule_unknown", "Whether it is not known what a rule says.", each(func(r RuleStatus) float64 { return truth(r.Unknown != "") })...)
	p.Counter("fieldpost_rule_fired_total", "Beginnings of a rule, or moments that it has kept.", each(func(r RuleStatus) float64 { return float64(r.Fired) })...)
	p.Counter("fieldpost_rule_missed_total", "Moments that a rule has not kept.", each(func(r RuleStatus) float64 { return float64(r.Missed) })...)
}

// age is how long ago a moment was when the status was taken, in seconds.
func (s Status) age(t time.Time) float64 { return max(0, s.Now.Sub(t).Seconds()) }

func sample(value float64, labels ...string) exposition.Sample {
	return exposition.Sample{Value: value, Labels: labels}
}

func samples[T any](list []T, of func(T) exposition.Sample) []exposition.Sample {
	made := make([]exposition.Sample, 0, len(list))
	for _, one := range list {
		made = append(made, of(one))
	}
	return made
}

// oneOf has a sample for each state that there is: 1 for the present one.
func oneOf[S ~string](states []S, now S, labels ...string) []exposition.Sample {
	return samples(states, func(s S) exposition.Sample {
		return sample(truth(s == now), append(slices.Clone(labels), "state", string(s))...)
	})
}

func truth(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
