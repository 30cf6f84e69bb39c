package command

import (
	"context"
	"errors"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// finishTimeout bounds one attempt to record a final state.
const finishTimeout = 5 * time.Second

// start records that the device is about to act; it tries until ctx ends, and
// then reports false.
func (w *worker) start(ctx context.Context, cmd gateway.Command) bool {
	var pause backoff
	for {
		err := w.opts.Journal.Start(ctx, cmd.ID)
		if err == nil {
			w.opts.Health.Clear(ConditionJournal)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		w.journalFails("record that one begins", err)
		if !pause.wait(ctx) {
			return false
		}
		w.heart.Beat()
	}
}

// recallAttempts bounds how often an entry is read that cannot be: one that is
// damaged must not hold up what is behind it. Attempts while none can be read do not
// count.
const recallAttempts = 5

// recall reads what is on record of a command. It reports false if ctx ends, the
// worker is dismissed, or it cannot be read: then it is passed over, and the next start
// decides what becomes of it.
func (w *worker) recall(ctx context.Context, t *ticket) (gateway.Entry, bool) {
	var pause backoff
	for attempt := 1; ; {
		e, found, err := w.opts.Journal.Entry(ctx, t.id)
		switch {
		case err == nil && found:
			w.opts.Health.Clear(ConditionJournal)
			return e, true
		case ctx.Err() != nil || w.dismissed():
			return gateway.Entry{}, false
		case w.first() != t: // cancelled meanwhile
			return gateway.Entry{}, false
		case err == nil || attempt == recallAttempts:
			w.log.Error("command passed over, its entry in the journal cannot be read", "command", t.id, "device", w.id, "error", err)
			w.passOver(t)
			return gateway.Entry{}, false
		}
		w.journalFails("read what one asks for", err)
		if !errors.Is(err, gateway.ErrUnavailable) {
			attempt++
		}
		if !pause.wait(ctx) {
			return gateway.Entry{}, false
		}
		w.heart.Beat()
	}
}

// finish records a final state together with its message. What the device has
// done cannot be undone, so it tries for as long as the gateway runs, and once
// more at the stop; the command is never carried out again for it.
func (w *worker) finish(ctx context.Context, e gateway.Entry, r gateway.Result) {
	var pause backoff
	message := w.report(r)
	for last := false; ; last = !pause.wait(ctx) {
		w.heart.Beat()
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
		err := w.opts.Journal.Finish(fctx, r, message)
		cancel()
		if err == nil {
			break
		}
		if last {
			w.log.Error("the final state of a command is not on record, the next start decides what becomes of it",
				"command", r.CommandID, "device", r.Device, "status", r.Status, "error", err)
			return
		}
		w.journalFails("record a final state", err)
	}
	w.opts.Health.Clear(ConditionJournal)
	w.conclude(e, r, time.Since(w.since()))
}

// report is the message that tells a final state.
func (d *Dispatcher) report(r gateway.Result) gateway.Message {
	return resultMessage(r, resultsOf(d.fleet.Load().Children[r.Device]), d.opts.Clock.Now())
}

// conclude tells those who wait for a final state that it is on record.
func (d *Dispatcher) conclude(e gateway.Entry, r gateway.Result, took time.Duration) {
	d.finished(r, e.Command.Origin)
	d.log.Info("command finished", "command", r.CommandID, "device", r.Device, "action", r.Action, "origin", e.Command.Origin,
		"status", r.Status, "detail", r.Detail, "took", took.Round(time.Millisecond))
}
