package service

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// remoteOptions of a remote. All but Log are required.
type remoteOptions struct {
	// File is where settings outlive a restart.
	File string
	// Hub tells whether there is an upstream that sets any. Without one those that a
	// hub has set are not in force, since it could not take them back.
	Hub bool
	settable
	// CA is where the CAs go that the hub sets.
	CA *mqtt.Replacement
	// Now is the time of day, by which certificates are judged.
	Now func() time.Time
	// Linked reports whether there is a connection to the hub.
	Linked func() bool
	Health *health.Board
	Log    *slog.Logger
}

// settable is what settings can be for, by the config in force.
type settable struct {
	Scope scope
	// Devices are those at work that can be set.
	Devices map[gateway.DeviceID]tunable
	// Probation is how long settings have to prove themselves.
	Probation time.Duration
}

// remote keeps the settings of the hub: it applies them over the config,
// remembers them, and takes back those that cut the link or do harm.
//
//	none ── apply ─→ on probation ── linked and sound ─→ proved
//	                     │
//	                     └── else ─→ rolled back to what was before
type remote struct {
	opts remoteOptions
	// begun tells Run that a probation has begun; changed that the verdict has.
	begun, changed chan struct{}

	mu      sync.Mutex
	record  settingsRecord
	verdict Verdict
	tunings map[gateway.DeviceID]tuning
	setsCA  bool // that of the config does not count
	// desired is what the hub has asked for in this run; nil: nothing was heard.
	desired map[string]any
	// harm stood when the probation began, and is not the settings' doing.
	harm []string
}

// newRemote puts the settings of the last run in force. A file that cannot be
// read leaves the config alone in force, until the hub is heard.
func newRemote(o remoteOptions) *remote {
	r := &remote{
		opts: o, begun: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		tunings: make(map[gateway.DeviceID]tuning),
	}
	for id, d := range o.Devices {
		r.tunings[id] = d.base
	}
	var err error
	if r.record, err = readSettings(o.File); err != nil {
		o.Log.Error("the settings of the hub are not in force, the config alone is", "error", err)
	}
	if !o.Hub && r.record.By == "" && len(r.record.InForce) > 0 {
		o.Log.Info("settings of a hub are not in force, since this upstream could not take them back", "file", o.File)
		r.record = settingsRecord{InForce: map[string]any{}}
	}
	r.tell()
	r.resume()
	return r
}

// resume goes on where the last run was.
func (r *remote) resume() {
	if p := r.record.Probation; p != nil {
		next := r.record
		again := *p
		again.Starts++
		next.Probation = &again
		if next.Probation.Starts > maxProbationStarts {
			next = r.rolledBack(fmt.Sprintf("the gateway was started %d times before they had proved themselves", maxProbationStarts))
		}
		r.keep(next)
		r.watch()
	}
	r.verdict = r.standing()
	parsed, faults := r.opts.Scope.parse(r.record.InForce, time.Time{})
	if len(faults) > 0 { // the config has changed since
		r.opts.Log.Error("the settings of the hub do not fit the config any more and are not in force", "faults", faults)
		r.verdict = rejected(r.record.Version, faults)
		return
	}
	r.apply(parsed)
	if len(r.record.InForce) > 0 {
		r.opts.Log.Info("settings of the hub in force", "version", r.record.Version, "devices", len(parsed.devices), "ca", parsed.ca != nil)
	}
}

// standing is the verdict if what is in force is right.
func (r *remote) standing() Verdict {
	if r.record.By != "" {
		return r.overridden(r.record.Version)
	}
	return Verdict{Version: r.record.Version, Status: SettingsApplied}
}

// Refit lays the settings over another config. What they are for may be new, or not
// there any more; then none of them is in force.
func (r *remote) Refit(to settable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tunings := make(map[gateway.DeviceID]tuning)
	for id, d := range to.Devices {
		tunings[id] = d.base
		if before := r.opts.Devices[id]; before.source == d.source {
			tunings[id] = r.tunings[id]
		}
	}
	r.opts.settable, r.tunings = to, tunings
	parsed, faults := to.Scope.parse(r.record.InForce, time.Time{})
	if len(faults) > 0 {
		r.opts.Log.Error("the settings of the hub do not fit the config any more and are not in force", "faults", faults)
		r.verdict = rejected(r.record.Version, faults)
	} else if r.verdict.Version == r.record.Version {
		r.verdict = r.standing()
	}
	r.apply(parsed)
	r.news()
}

// Changed tells that there is a new verdict.
func (r *remote) Changed() <-chan struct{} { return r.changed }

// Verdict is on the settings that were last desired.
func (r *remote) Verdict() Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.verdict
	v.Probation = r.record.Probation != nil && (v.Status == SettingsApplied || v.Status == SettingsOverridden)
	v.Errors = slices.Clone(v.Errors)
	return v
}

// Desire judges the settings that the hub asks for, and applies them if they
// are right and new.
func (r *remote) Desire(version int64, desired any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdict = r.judge(version, desired)
	if r.verdict.Status == SettingsRejected {
		r.opts.Log.Warn("settings of the hub rejected", "version", version, "errors", r.verdict.Errors)
	}
}

// judge is called with mu held.
func (r *remote) judge(version int64, desired any) Verdict {
	raw, ok := desired.(map[string]any)
	switch {
	case desired == nil:
		raw = map[string]any{}
	case !ok:
		return rejected(version, []string{"settings: want an object"})
	}
	r.desired = raw
	switch {
	case r.record.By != "" && alike(raw, r.record.Heard):
		return r.overridden(version)
	case r.record.hasFailed(raw):
		return Verdict{Version: version, Status: SettingsRolledBack, Errors: []string{r.record.Failed.Reason}}
	}
	now, same := r.opts.Now(), alike(raw, r.record.InForce)
	if same {
		now = time.Time{}
	}
	parsed, faults := r.opts.Scope.parse(raw, now)
	if len(faults) > 0 {
		return rejected(version, faults)
	}
	if same {
		if r.record.Failed != nil || r.record.By != "" { // taken back by the hub too; they may be tried again
			next := r.record
			next.Failed, next.By, next.Heard = nil, "", nil
			r.keep(next)
		}
		r.apply(parsed)
		return Verdict{Version: version, Status: SettingsApplied}
	}
	if err := r.change(settingsRecord{Version: version, InForce: raw}); err != nil {
		return rejected(version, []string{err.Error()})
	}
	r.apply(parsed)
	r.opts.Log.Info("settings of the hub applied", "version", version, "devices", len(parsed.devices), "ca", parsed.ca != nil, "probation", r.opts.Probation)
	return Verdict{Version: version, Status: SettingsApplied}
}

// change puts settings on record and begins their probation. If an earlier one
// lasts, the way back leads to what was before that.
func (r *remote) change(next settingsRecord) error {
	harm := r.harm
	next.Probation = &probation{Before: r.record.InForce, By: r.record.By, Heard: r.record.Heard}
	if p := r.record.Probation; p != nil {
		back := *p
		back.Starts = 0
		next.Probation = &back
	} else {
		harm = r.harmful()
	}
	if err := next.write(r.opts.File); err != nil {
		r.opts.Log.Error("settings cannot be remembered, so they are not applied", "error", err)
		return err
	}
	r.record, r.harm = next, harm
	r.tell()
	r.watch()
	return nil
}

// keep changes the record even if it cannot be written: then the next start
// sees the one before, and decides anew.
func (r *remote) keep(next settingsRecord) {
	r.record = next
	r.tell()
	if err := next.write(r.opts.File); err != nil {
		r.opts.Log.Error("the state of the settings cannot be remembered", "error", err)
	}
}

// tell states that what the hub asks for has failed, as long as it does so.
func (r *remote) tell() {
	if r.record.Failed == nil {
		r.opts.Health.Clear(conditionRolledBack)
		return
	}
	r.opts.Health.Raise(conditionRolledBack, health.Warning,
		"what the hub asks for was taken back, ask for something else: "+r.record.Failed.Reason)
}

// apply sets what differs from what is set.
func (r *remote) apply(s settings) {
	r.opts.CA.Put(s.ca)
	r.setsCA = s.ca != nil
	for id, d := range r.opts.Devices {
		next, set := s.devices[id]
		if !set {
			next = d.base
		}
		if err := d.apply(r.tunings[id], next); err != nil { // they were judged by the same code
			r.opts.Log.Error("settings of the hub are not in force with a device", "device", id, "error", err)
			continue
		}
		r.tunings[id] = next
	}
}

// Status is for status displays.
func (r *remote) Status() SettingsStatus {
	s := SettingsStatus{Verdict: r.Verdict(), Devices: []gateway.DeviceID{}}
	for id, t := range r.Tunings() {
		if len(t.set) > 0 {
			s.Devices = append(s.Devices, id)
		}
	}
	slices.Sort(s.Devices)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.CA = r.setsCA
	return s
}

// Tunings are those in force, for status displays.
func (r *remote) Tunings() map[gateway.DeviceID]tuning {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.tunings)
}
