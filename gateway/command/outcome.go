package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// outcome brings a command to its final state. It reports false if there is
// none, because the gateway stops or its devices change: then the next start, or
// whoever has the command afterwards, decides. begin ends when it must not be begun any
// more.
func (w *worker) outcome(begin context.Context, turn *turn, e gateway.Entry) (gateway.Result, bool) {
	cmd, work := e.Command, turn.ctx
	cmd.Resumed = e.Started
	action, run, end, err := w.permit(work, cmd)
	switch {
	case err != nil && work.Err() != nil:
		return w.unbegun(begin, e)
	case e.Started && err != nil:
		return w.unknown(cmd, err), true
	case err != nil:
		return w.result(cmd, nil, err), true
	case !e.Started:
		if !w.start(begin, cmd) {
			end()
			return w.unbegun(begin, e)
		}
		if err := w.inTime(cmd); err != nil { // writing can take long
			end()
			return w.result(cmd, nil, err), true
		}
	}
	w.turns.yield(turn, action)
	values, err := w.do(work, run, cmd, action, end)
	left := action.Resumable && w.life.Err() != nil && errors.Is(err, context.Canceled)
	if err != nil && (work.Err() != nil || left) && cancellation(work) == nil {
		w.log.Warn("command cut short; what becomes of it is decided by the next start, or after the change of devices", "command", cmd.ID, "error", err)
		return gateway.Result{}, false
	}
	return w.result(cmd, values, err), true
}

// permit decides whether a command may be carried out now, with which context, and what
// is to be called when it is over.
func (w *worker) permit(work context.Context, cmd gateway.Command) (action gateway.Action, run context.Context, end func(), err error) {
	action, err = w.judge(cmd)
	if cmd.Resumed && err == nil && !action.Idempotent && !action.Resumable {
		err = fmt.Errorf("%s is not idempotent", cmd.Action)
	}
	if err == nil {
		run, end, err = w.fleet.Load().Policy.Begin(work, cmd, action)
	}
	return action, run, end, err
}

// unbegun is what becomes of a command that must not be begun any more: its end if
// it was cancelled, nothing if the gateway stops.
func (w *worker) unbegun(begin context.Context, e gateway.Entry) (gateway.Result, bool) {
	if why := cancellation(begin); why != nil {
		return w.cancelled(e, why), true
	}
	return gateway.Result{}, false
}

// cancelled is the final state of a command that was cancelled before it was begun in
// this run.
func (w *worker) cancelled(e gateway.Entry, why error) gateway.Result {
	if e.Started { // in an earlier one
		return w.unknown(e.Command, why)
	}
	return w.result(e.Command, nil, fmt.Errorf("%w before it was begun: %w", why, gateway.ErrDenied))
}

// cancellation is why somebody has ended the context of a command; nil if nobody
// has.
func cancellation(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errCancelled) {
		return cause
	}
	return nil
}

// judge decides whether a command may be carried out now.
func (w *worker) judge(cmd gateway.Command) (gateway.Action, error) {
	action, err := w.find(cmd)
	if err != nil {
		return action, err
	}
	if err := action.Check(cmd.Args); err != nil {
		return action, err
	}
	if err := w.inTime(cmd); err != nil {
		return action, err
	}
	if w.stuck != nil && w.stuck.returned() {
		w.unstick()
	}
	if w.stuck != nil {
		return action, fmt.Errorf("device has not come back from a command begun %v ago: %w",
			time.Since(w.stuck.began).Round(time.Millisecond), gateway.ErrUnavailable)
	}
	return action, nil
}

// find is the action that a command asks for; an error wraps gateway.ErrUnknown, or
// gateway.ErrUnavailable if it cannot be known yet.
func (w *worker) find(cmd gateway.Command) (gateway.Action, error) {
	if w.actuator == nil {
		return gateway.Action{}, w.stray(cmd)
	}
	actions := w.actuator.Actions()
	if actions == nil {
		return gateway.Action{}, fmt.Errorf("device %s cannot be asked to do anything as it is; `fieldpost status` says what is wrong with it: %w",
			w.id, gateway.ErrUnavailable)
	}
	i := slices.IndexFunc(actions, func(a gateway.Action) bool { return a.Name == cmd.Action })
	if i < 0 {
		return gateway.Action{}, fmt.Errorf("unknown action %q; device %s can: %s: %w",
			cmd.Action, w.id, names(actions), gateway.ErrUnknown)
	}
	return actions[i], nil
}

func (w *worker) stray(cmd gateway.Command) error {
	if slices.Contains(w.fleet.Load().Sensors, cmd.Device) {
		return fmt.Errorf("device %s cannot be asked to do anything; devices that can: %s: %w", cmd.Device, w.fleet.Load().known, gateway.ErrUnknown)
	}
	return fmt.Errorf("unknown device %q; devices that take commands: %s: %w", cmd.Device, w.fleet.Load().known, gateway.ErrUnknown)
}

func names(actions []gateway.Action) string {
	var list []string
	for _, a := range actions {
		list = append(list, a.Name)
	}
	return cmp.Or(strings.Join(list, ", "), "nothing")
}

// inTime checks the expiry.
func (w *worker) inTime(cmd gateway.Command) error {
	if cmd.Expires.IsZero() {
		return nil
	}
	if t := w.ticket(cmd.ID); t != nil && !t.until.IsZero() {
		if late := time.Since(t.until); late >= 0 {
			return fmt.Errorf("it expired %v before it could be begun: %w", late.Round(time.Millisecond), gateway.ErrExpired)
		}
		return nil
	}
	if !w.opts.Clock.Trusted() {
		return fmt.Errorf("it expires, and the gateway does not know the time, %v after its start: %w", time.Since(w.began).Round(time.Second), gateway.ErrDenied)
	}
	if now := w.opts.Clock.Now(); !now.Before(cmd.Expires) {
		return fmt.Errorf("it expired %v before it could be begun: %w", now.Sub(cmd.Expires).Round(time.Millisecond), gateway.ErrExpired)
	}
	return nil
}

// result is the final state that follows from an error or its absence.
func (w *worker) result(cmd gateway.Command, values map[string]any, err error) gateway.Result {
	r := gateway.Result{CommandID: cmd.ID, Device: cmd.Device, Action: cmd.Action, Values: values, ReplyTo: cmd.ReplyTo}
	switch {
	case err == nil:
		r.Status = gateway.StatusDone
	case errors.Is(err, gateway.ErrDenied):
		r.Status = gateway.StatusDenied
	case errors.Is(err, gateway.ErrExpired):
		r.Status = gateway.StatusExpired
	default:
		r.Status = gateway.StatusFailed
	}
	return w.complete(r, err)
}

// unknown is the final state of a command that was begun in an earlier run
// and cannot be repeated.
func (w *worker) unknown(cmd gateway.Command, why error) gateway.Result {
	r := gateway.Result{CommandID: cmd.ID, Device: cmd.Device, Action: cmd.Action, Status: gateway.StatusUnknownOutcome, ReplyTo: cmd.ReplyTo}
	return w.complete(r, fmt.Errorf("the gateway stopped while it was being carried out, and it cannot be repeated: %w", why))
}

func (w *worker) complete(r gateway.Result, err error) gateway.Result {
	if err != nil {
		r.Detail = strings.TrimSuffix(err.Error(), ": "+string(r.Status)) // once is enough
	}
	return w.finishedNow(r)
}

// finishedNow is a final state that has just been reached, fit for a message.
func (d *Dispatcher) finishedNow(r gateway.Result) gateway.Result {
	r.Finished = d.opts.Clock.Now().UTC()
	if _, undated := gateway.Uptime(r.Finished); undated {
		r.Boot = d.opts.Boot
	}
	return sanitize(r)
}
