package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// Condition stands while uploads do not get on.
const Condition = "uploads"

const (
	// maxSilence is what the heart of Run promises.
	maxSilence = 5 * time.Minute
	// lookEvery bounds a wait.
	lookEvery = 20 * time.Second
	// tolerated is how many failures in a row are nothing to speak of.
	tolerated = 3
	// maxLater bounds how long somebody who is busy may make us wait.
	maxLater = time.Hour
)

// Run uploads what is there, one file at a time, until ctx ends.
func (u *Uploader) Run(ctx context.Context) error {
	defer close(u.ended)
	heart := u.opts.Health.Heart("uploads", maxSilence)
	defer u.opts.Health.Remove(heart)
	defer u.opts.Health.Clear(Condition)
	pause := backoff{min: u.opts.MinBackoff, max: u.opts.MaxBackoff}
	for ctx.Err() == nil {
		heart.Beat()
		j := u.due()
		if j == nil {
			u.opts.Health.Clear(Condition) // what has failed may have been canceled
		}
		if j == nil || u.held(j) {
			u.sleep(ctx, lookEvery)
			continue
		}
		err := u.attempt(ctx, j, heart.Beat)
		switch {
		case ctx.Err() != nil:
			u.show(j, func(up *Upload) { up.State = Waiting })
			return nil
		case err == nil:
			pause.reset()
			u.opts.Health.Clear(Condition)
			continue
		}
		u.rest(ctx, j, err, &pause, heart.Beat)
	}
	return nil
}

// due is the upload whose turn it is: the oldest of those that have failed
// least, so that none keeps the others waiting for ever.
func (u *Uploader) due() (next *job) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, j := range u.jobs {
		if !j.settled() && (next == nil || j.Failures < next.Failures) {
			next = j
		}
	}
	return next
}

// held reports that nothing may be sent for now.
func (u *Uploader) held(j *job) bool {
	if u.opts.Held == nil {
		return false
	}
	why := u.opts.Held()
	if why == "" {
		return false
	}
	u.show(j, func(up *Upload) { up.Detail = why })
	return true
}

// rest waits after an attempt that has failed. Something new makes it shorter, but
// not if somebody has asked for the pause.
func (u *Uploader) rest(ctx context.Context, j *job, err error, pause *backoff, beat func()) {
	wait := pause.after(err)
	now := u.failed(j, err, time.Now().Add(wait).UTC())
	if now.Failures >= tolerated {
		u.opts.Health.Raise(Condition, health.Warning, fmt.Sprintf("files wait to be uploaded: %s: %v", now.Name, err))
	}
	begun := time.Now()
	var later *Later
	asked := errors.As(err, &later)
	for time.Since(begun) < wait && ctx.Err() == nil {
		if u.sleep(ctx, min(wait-time.Since(begun), lookEvery)) && !asked {
			wait = min(wait, u.opts.MinBackoff)
		}
		beat()
	}
	u.show(j, func(up *Upload) { up.NextAttempt = time.Time{} })
}

// failed notes that an attempt has come to nothing.
func (u *Uploader) failed(j *job, err error, next time.Time) Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !errors.Is(err, uplink.ErrNotReady) {
		j.Failures++
	}
	level := slog.LevelWarn
	if j.Detail == err.Error() {
		level = slog.LevelDebug // it has been said
	}
	u.log.Log(context.Background(), level, "upload does not get on", "upload", j.ID, "name", j.Name,
		"error", err, "next_attempt_in", time.Until(next).Round(time.Second))
	if j.Outcome == nil {
		j.State = Waiting
	}
	if !j.State.Final() {
		j.Detail, j.NextAttempt = err.Error(), next
	}
	return j.Upload
}

// sleep waits; it reports that something new has come meanwhile.
func (u *Uploader) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-u.wake:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// show changes what is told of an upload whose file is still to be sent, not
// what is on disk.
func (u *Uploader) show(j *job, change func(*Upload)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j.Outcome == nil {
		change(&j.Upload)
	}
}

// backoff gives the pauses between attempts, with full jitter.
type backoff struct {
	min, max, ceiling time.Duration
}

func (b *backoff) reset() { b.ceiling = 0 }

// after is the pause that an error asks for.
func (b *backoff) after(err error) time.Duration {
	var later *Later
	switch {
	case errors.As(err, &later):
		return min(max(later.After, b.min), maxLater) + b.jitter(b.min)
	case errors.Is(err, uplink.ErrNotReady):
		return b.min + b.jitter(b.min)
	case errors.Is(err, uplink.ErrRefused):
		b.ceiling = b.max
		return b.max/2 + b.jitter(b.max/2)
	}
	b.ceiling = min(max(b.min, 2*b.ceiling), b.max)
	return max(b.jitter(b.ceiling), b.min/10)
}

func (*backoff) jitter(d time.Duration) time.Duration { return rand.N(d + 1) }

// refused is the error of an upload that will never be taken.
func refused(err error) bool { return errors.Is(err, gateway.ErrInvalid) }
