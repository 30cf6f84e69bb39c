package service

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxProbationStarts is how many starts of the gateway settings may see before
// they have proved themselves: a crash at each of them must have an end.
const maxProbationStarts = 3

// watch begins a probation, or begins it anew.
func (r *remote) watch() {
	select {
	case r.begun <- struct{}{}:
	default:
	}
}

// Run ends probations, until ctx does.
func (r *remote) Run(ctx context.Context) error {
	timer := time.NewTimer(r.lasts())
	defer timer.Stop()
	for {
		select {
		case <-r.begun:
			timer.Reset(r.lasts())
		case <-timer.C:
			r.endProbation()
		case <-r.opts.CA.Judged():
			r.endTrial()
		case <-ctx.Done():
			return nil
		}
	}
}

// lasts is how long a probation does.
func (r *remote) lasts() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opts.Probation
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
	r.news()
}

// endTrial takes settings back before the end of their probation if their CAs have
// failed: nothing that is still to come can prove them.
func (r *remote) endTrial() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason := r.objectionToCA(); reason != "" {
		r.rollBack(reason)
		r.news()
	}
}

// news tells that the verdict has changed.
func (r *remote) news() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// objection is why the settings in force cannot stay; empty if they can.
func (r *remote) objection() string {
	if reason := r.objectionToCA(); reason != "" {
		return reason
	}
	if !r.opts.Linked() {
		return fmt.Sprintf("%v after they came into force there was no connection to the hub", r.opts.Probation)
	}
	if known, _ := r.opts.CA.Proof(); !known && r.triesCA() {
		return fmt.Sprintf("%v after they came into force there was no new connection that could prove their CAs", r.opts.Probation)
	}
	for _, code := range r.harmful() {
		if !slices.Contains(r.harm, code) {
			return fmt.Sprintf("%v after they came into force the condition %s stands", r.opts.Probation, code)
		}
	}
	return ""
}

// objectionToCA is how the CAs on probation have failed; empty if they have not.
func (r *remote) objectionToCA() string {
	_, err := r.opts.CA.Proof()
	if err == nil || !r.triesCA() {
		return ""
	}
	return shorten(fmt.Sprintf("the hub cannot be verified with the CAs that would count: %v", err), maxVerdictText)
}

// triesCA reports whether other CAs are on probation.
func (r *remote) triesCA() bool {
	p := r.record.Probation
	if p == nil {
		return false
	}
	before, _ := r.opts.Scope.parse(p.Before, time.Time{})
	after, _ := r.opts.Scope.parse(r.record.InForce, time.Time{})
	return !bytes.Equal(before.ca, after.ca)
}

func (r *remote) rollBack(reason string) {
	r.keep(r.rolledBack(reason))
	r.verdict.Status, r.verdict.Errors = SettingsRolledBack, []string{reason}
	parsed, _ := r.opts.Scope.parse(r.record.InForce, time.Time{}) // with faults they were never in force in this run
	r.apply(parsed)
	r.opts.Log.Error("settings of the hub rolled back", "version", r.record.Version, "reason", reason)
}

func (r *remote) rolledBack(reason string) settingsRecord {
	return settingsRecord{
		Version: r.record.Version, InForce: r.record.Probation.Before,
		By: r.record.Probation.By, Heard: r.record.Probation.Heard,
		Failed: &failedSettings{Settings: r.record.InForce, Reason: reason},
	}
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
