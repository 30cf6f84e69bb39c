package command

import (
	"context"
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

// finish records a final state together with its message. What the device has
// done cannot be undone, so it tries for as long as the gateway runs, and once
// more at the stop; the command is never carried out again for it.
func (w *worker) finish(ctx context.Context, e gateway.Entry, r gateway.Result) {
	var pause backoff
	message := resultMessage(r, resultsOf(w.fleet.Load().Children[r.Device]), w.opts.Clock.Now())
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
	w.finished(r)
	w.log.Info("command finished", "command", r.CommandID, "device", r.Device, "action", r.Action, "origin", e.Command.Origin,
		"status", r.Status, "detail", r.Detail, "took", time.Since(w.since()).Round(time.Millisecond))
}
