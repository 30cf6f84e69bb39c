package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Inbox takes commands in from upstreams.
type Inbox struct {
	dispatcher *Dispatcher
	child      gateway.Lane // whose inbox it is; empty: the gateway's own
}

// NewInbox returns the inbox of the gateway itself, for all devices that belong
// to no child.
func NewInbox(d *Dispatcher) *Inbox { return &Inbox{dispatcher: d} }

// Accept takes a command in. nil means that it is on record, so that the
// caller may acknowledge it: journalled, answered as a repeat, or refused as
// malformed. It waits while the device has no room for another command, until
// ctx ends; then, and on every other error, nothing is on record for this
// call and the sender should deliver the command again.
func (i *Inbox) Accept(ctx context.Context, cmd gateway.Command) error {
	err := Check(cmd)
	if err == nil {
		err = i.accept(ctx, cmd)
	}
	if errors.Is(err, gateway.ErrInvalid) {
		return i.Refuse(ctx, cmd, describe(cmd), err.Error())
	}
	return err
}

func (i *Inbox) accept(ctx context.Context, cmd gateway.Command) error {
	d := i.dispatcher
	if err := i.reaches(cmd.Device); err != nil {
		return i.deny(ctx, cmd, err)
	}
	_, repeat, err := d.admit(ctx, i.scope(cmd), time.Time{})
	if err != nil || repeat == nil {
		return err
	}
	r := *repeat
	r.Repeated, r.ReplyTo = true, cmd.ReplyTo
	if _, err := d.opts.Queue.Append(ctx, resultMessage(r, i.results(), d.opts.Clock.Now())); err != nil {
		return fmt.Errorf("answer the repeated command %s: %w", cmd.ID, err)
	}
	d.counts.repeated.Add(1)
	d.log.Info("command repeated by its sender, answered again", "command", cmd.ID, "status", r.Status)
	return nil
}

// Refuse puts on record input that is not a command: a dead letter that keeps
// its first 16 KiB, and a result that says denied, both or none. Of cmd, the id, the
// origin and ReplyTo count; the id may be empty or unfit, what is printable of it goes
// into the answer.
func (i *Inbox) Refuse(ctx context.Context, cmd gateway.Command, raw []byte, reason string) error {
	d := i.dispatcher
	now := d.opts.Clock.Now()
	id, reason := safeID(cmd.ID), cut(reason, maxDetailBytes)
	result := d.finishedNow(gateway.Result{
		CommandID: id, Status: gateway.StatusDenied, Detail: "malformed: " + reason, ReplyTo: cmd.ReplyTo,
	})
	letter := deadLetter(id, cmd.Origin, raw, reason, now)
	if _, err := d.opts.Queue.Append(ctx, letter, resultMessage(result, i.results(), now)); err != nil {
		return fmt.Errorf("refuse command %.40q from %s: %w", id, cmd.Origin, err)
	}
	d.counts.refused.Add(1)
	d.log.Warn("input refused, it is no command", "command", id, "origin", cmd.Origin, "reason", reason)
	return nil
}

// describe gives the best text there is of a command that arrived decoded.
func describe(cmd gateway.Command) []byte {
	data, err := json.Marshal(cmd)
	if err != nil { // a number or a year that JSON does not have
		return fmt.Appendf(nil, "%+v", cmd)
	}
	return data
}
