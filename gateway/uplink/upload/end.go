package upload

import (
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Cancel ends an upload. The error wraps gateway.ErrInvalid if there is none,
// or if it is too late.
func (u *Uploader) Cancel(id string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	j, err := u.find(id)
	if err != nil {
		return err
	}
	if j.Outcome != nil || j.State.Final() {
		return fmt.Errorf("upload %s is %s: %w", id, j.State, gateway.ErrInvalid)
	}
	if err := u.conclude(j, Canceled, Outcome{Status: -1, Detail: "canceled"}); err != nil {
		return err
	}
	u.rouse()
	return nil
}

// conclude notes on disk and in memory that the storage is done with an
// upload, and drops the file. The caller holds mu.
func (u *Uploader) conclude(j *job, state State, o Outcome) error {
	r := j.record
	r.State, r.Outcome, r.NextAttempt = state, &o, time.Time{}
	if state.Final() {
		r.Finished = u.opts.Clock.Now().UTC()
	}
	if o.Detail != "" {
		r.Detail = o.Detail
	}
	if err := u.dir.save(r); err != nil {
		return err
	}
	j.record = r
	u.used -= j.Bytes
	if j.cancel != nil && state == Canceled {
		j.cancel()
	}
	if err := u.dir.remove(j.ID, ".data"); err != nil {
		u.log.Warn("a file cannot be removed, the next start tries again", "upload", j.ID, "error", err)
	}
	if state.Final() {
		u.log.Warn("upload "+string(state), "upload", j.ID, "name", j.Name, "reason", o.Detail)
		close(j.over)
		u.forget()
	}
	return nil
}

// forget drops the oldest of those that are over. The caller holds mu.
func (u *Uploader) forget() {
	settled := 0
	for _, j := range u.jobs {
		if j.settled() {
			settled++
		}
	}
	u.jobs = slices.DeleteFunc(u.jobs, func(j *job) bool {
		if settled <= remembered || !j.settled() {
			return false
		}
		settled--
		if err := u.dir.remove(j.ID, ".json"); err != nil {
			u.log.Warn("the record of an old upload cannot be removed", "upload", j.ID, "error", err)
		}
		return true
	})
}

// settled reports whether nothing is left to do, not even to tell the hub.
func (j *job) settled() bool { return j.State.Final() && j.Ticket == nil }
