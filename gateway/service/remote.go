package service

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// maxProbationStarts is how many starts of the gateway settings may see before
// they have proved themselves: a crash at each of them must have an end.
const maxProbationStarts = 3

// Verdict is what became of the settings that the hub asks for.
type Verdict struct {
	// Version of the desired properties that it is about.
	Version int64         `json:"version"`
	Status  VerdictStatus `json:"status"`
	// Probation is true until the settings in force have proved themselves.
	Probation bool `json:"probation,omitempty"`
	// Errors say why the status is not applied.
	Errors []string `json:"errors,omitempty"`
}

// VerdictStatus is what became of settings.
type VerdictStatus string

// The statuses. Rejected settings have changed nothing; what was rolled back
// has been in force and did harm.
const (
	SettingsApplied    VerdictStatus = "applied"
	SettingsRejected   VerdictStatus = "rejected"
	SettingsRolledBack VerdictStatus = "rolled-back"
)

// remoteOptions of a remote. All but Log are required.
type remoteOptions struct {
	// File is where settings outlive a restart; empty if nobody sets any.
	File  string
	Scope scope
	// Devices are those that are at work, with the pace of the config.
	Devices map[gateway.DeviceID]pacedDevice
	// Probation is how long settings have to prove themselves.
	Probation time.Duration
	// Linked reports whether there is a connection to the hub.
	Linked func() bool
	Health *health.Board
	Log    *slog.Logger
}

// pacedDevice is a device whose pace can be set.
type pacedDevice struct {
	base time.Duration
	set  func(pipeline.Pace)
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
	paces   map[gateway.DeviceID]pipeline.Pace
	// harm stood when the probation began, and is not the settings' doing.
	harm []string
}

// newRemote puts the settings of the last run in force. A file that cannot be
// read leaves the config alone in force, until the hub is heard.
func newRemote(o remoteOptions) *remote {
	r := &remote{
		opts: o, begun: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		paces: make(map[gateway.DeviceID]pipeline.Pace),
	}
	for id, d := range o.Devices {
		r.paces[id] = pipeline.Pace{Every: d.base, Enabled: true}
	}
	var err error
	if r.record, err = readSettings(o.File); err != nil {
		o.Log.Error("the settings of the hub are not in force, the config alone is", "error", err)
	}
	r.resume()
	return r
}

// resume goes on where the last run was.
func (r *remote) resume() {
	if p := r.record.Probation; p != nil {
		next := r.record
		next.Probation = &probation{Before: p.Before, Starts: p.Starts + 1}
		if next.Probation.Starts > maxProbationStarts {
			next = r.rolledBack(fmt.Sprintf("the gateway was started %d times before they had proved themselves", maxProbationStarts))
		}
		r.keep(next)
		r.watch()
	}
	r.verdict = Verdict{Version: r.record.Version, Status: SettingsApplied}
	parsed, faults := r.opts.Scope.parse(r.record.InForce)
	if len(faults) > 0 { // the config has changed since
		r.opts.Log.Error("the settings of the hub do not fit the config any more and are not in force", "faults", faults)
		return
	}
	r.apply(parsed)
	if len(parsed) > 0 {
		r.opts.Log.Info("settings of the hub in force", "version", r.record.Version, "devices", len(parsed))
	}
}

// Changed tells that there is a new verdict.
func (r *remote) Changed() <-chan struct{} { return r.changed }

// Verdict is on the settings that were last desired.
func (r *remote) Verdict() Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.verdict
	v.Probation = r.record.Probation != nil && v.Status == SettingsApplied
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
	case r.record.hasFailed(raw):
		return Verdict{Version: version, Status: SettingsRolledBack, Errors: []string{r.record.Failed.Reason}}
	}
	parsed, faults := r.opts.Scope.parse(raw)
	if len(faults) > 0 {
		return rejected(version, faults)
	}
	if reflect.DeepEqual(raw, r.record.InForce) {
		if r.record.Failed != nil { // taken back by the hub too; they may be tried again
			next := r.record
			next.Failed = nil
			r.keep(next)
		}
		r.apply(parsed)
		return Verdict{Version: version, Status: SettingsApplied}
	}
	if err := r.change(version, raw); err != nil {
		return rejected(version, []string{err.Error()})
	}
	r.apply(parsed)
	r.opts.Log.Info("settings of the hub applied", "version", version, "devices", len(parsed), "probation", r.opts.Probation)
	return Verdict{Version: version, Status: SettingsApplied}
}

// change puts settings on record and begins their probation. If an earlier one
// lasts, the way back leads to what was before that.
func (r *remote) change(version int64, raw map[string]any) error {
	before, harm := r.record.InForce, r.harm
	if p := r.record.Probation; p != nil {
		before = p.Before
	} else {
		harm = r.harmful()
	}
	next := settingsRecord{Version: version, InForce: raw, Probation: &probation{Before: before}}
	if err := next.write(r.opts.File); err != nil {
		r.opts.Log.Error("settings cannot be remembered, so they are not applied", "error", err)
		return err
	}
	r.record, r.harm = next, harm
	r.watch()
	return nil
}

// watch begins a probation, or begins it anew.
func (r *remote) watch() {
	select {
	case r.begun <- struct{}{}:
	default:
	}
}

// keep changes the record even if it cannot be written: then the next start
// sees the one before, and decides anew.
func (r *remote) keep(next settingsRecord) {
	r.record = next
	if err := next.write(r.opts.File); err != nil {
		r.opts.Log.Error("the state of the settings cannot be remembered", "error", err)
	}
}

func (r *remote) rolledBack(reason string) settingsRecord {
	return settingsRecord{
		Version: r.record.Version, InForce: r.record.Probation.Before,
		Failed: &failedSettings{Settings: r.record.InForce, Reason: reason},
	}
}

// apply sets the paces that differ from those that are set.
func (r *remote) apply(s settings) {
	for id, d := range r.opts.Devices {
		if pace := s[id].over(d.base); pace != r.paces[id] {
			r.paces[id] = pace
			d.set(pace)
		}
	}
}

// Run ends probations, until ctx does.
func (r *remote) Run(ctx context.Context) error {
	timer := time.NewTimer(r.opts.Probation)
	defer timer.Stop()
	for {
		select {
		case <-r.begun:
			timer.Reset(r.opts.Probation)
		case <-timer.C:
			r.endProbation()
		case <-ctx.Done():
			return nil
		}
	}
}

// endProbation keeps the settings in force, or takes them back.
func (r *remote) endProbation() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.record.Probation == nil {
		return
	}
	if reason := r.objection(); reason != "" {
		r.rollBack(reason)
	} else {
		next := r.record
		next.Probation = nil
		r.keep(next)
		r.opts.Log.Info("settings of the hub have proved themselves", "version", next.Version)
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// objection is why the settings in force cannot stay; empty if they can.
func (r *remote) objection() string {
	if !r.opts.Linked() {
		return fmt.Sprintf("%v after they came into force there was no connection to the hub", r.opts.Probation)
	}
	for _, code := range r.harmful() {
		if !slices.Contains(r.harm, code) {
			return fmt.Sprintf("%v after they came into force the condition %s stands", r.opts.Probation, code)
		}
	}
	return ""
}

func (r *remote) rollBack(reason string) {
	r.keep(r.rolledBack(reason))
	r.verdict.Status, r.verdict.Errors = SettingsRolledBack, []string{reason}
	parsed, faults := r.opts.Scope.parse(r.record.InForce)
	if len(faults) > 0 {
		parsed = nil // those before were never in force in this run
	}
	r.apply(parsed)
	r.opts.Log.Error("settings of the hub rolled back", "version", r.record.Version, "reason", reason)
}

// harmful lists the conditions that settings can bring about and that break a
// promise of the gateway.
func (r *remote) harmful() (codes []string) {
	for _, c := range r.opts.Health.Conditions() {
		if c.Code == conditionStuck || c.Code == conditionQueue || strings.HasPrefix(c.Code, "readings-lost:") {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

// Bounds of what the verdict says.
const (
	maxVerdictErrors = 8
	maxVerdictText   = 300
)

func rejected(version int64, faults []string) Verdict {
	v := Verdict{Version: version, Status: SettingsRejected}
	for i, fault := range faults {
		if i == maxVerdictErrors {
			v.Errors = append(v.Errors, fmt.Sprintf("and %d more", len(faults)-i))
			break
		}
		v.Errors = append(v.Errors, shorten(fault, maxVerdictText))
	}
	return v
}

// shorten cuts s to at most limit bytes, and never within a character.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// Status is for status displays.
func (r *remote) Status() SettingsStatus {
	s := SettingsStatus{Verdict: r.Verdict(), Devices: []gateway.DeviceID{}}
	for id, pace := range r.Paces() {
		if base := (pipeline.Pace{Every: r.opts.Devices[id].base, Enabled: true}); pace != base {
			s.Devices = append(s.Devices, id)
		}
	}
	slices.Sort(s.Devices)
	return s
}

// Paces are those in force, for status displays.
func (r *remote) Paces() map[gateway.DeviceID]pipeline.Pace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.paces)
}
