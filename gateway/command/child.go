package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// Devices can belong to a child: a device of the upstream behind this gateway,
// named by its lane. They take commands from that child's inbox, or from this
// board, and their results go where the child's messages go.

// NewChildInbox returns the inbox of a child, for its devices alone.
func NewChildInbox(d *Dispatcher, child gateway.Lane) *Inbox {
	return &Inbox{dispatcher: d, child: child}
}

// results is the lane of what this inbox answers.
func (i *Inbox) results() gateway.Lane { return resultsOf(i.child) }

func resultsOf(child gateway.Lane) gateway.Lane {
	if child == "" {
		return gateway.LaneResults
	}
	return child.Results()
}

// reaches reports why a device cannot be reached by this inbox; nil if it can,
// or if nobody knows the device.
func (i *Inbox) reaches(device gateway.DeviceID) error {
	children := i.dispatcher.fleet.Load().Children
	switch child, owned := children[device]; {
	case child == i.child:
		return nil
	case owned && i.child == "":
		return fmt.Errorf("device %s belongs to the child with lane %s; send commands for it to that one's identity: %w", device, child, gateway.ErrUnknown)
	default:
		var own []string
		for _, id := range slices.Sorted(maps.Keys(children)) {
			if children[id] == i.child {
				own = append(own, string(id))
			}
		}
		return fmt.Errorf("device %s does not belong to the child with lane %s; it has: %s: %w", device, i.child, strings.Join(own, ", "), gateway.ErrUnknown)
	}
}

// deny answers a command that this inbox does not pass on.
func (i *Inbox) deny(ctx context.Context, cmd gateway.Command, why error) error {
	d := i.dispatcher
	now := d.opts.Clock.Now()
	result := d.finishedNow(gateway.Result{
		CommandID: cmd.ID, Device: cmd.Device, Action: cmd.Action,
		Status: gateway.StatusDenied, Detail: why.Error(), ReplyTo: cmd.ReplyTo,
	})
	if _, err := d.opts.Queue.Append(ctx, resultMessage(result, i.results(), now)); err != nil {
		return fmt.Errorf("deny command %s: %w", cmd.ID, err)
	}
	d.counts.refused.Add(1)
	d.log.Warn("command denied", "command", cmd.ID, "device", cmd.Device, "reason", why)
	return nil
}

// scopeMark parts the child from the id of a command in the journal. No id of
// a sender has it: Check allows printable text only.
const scopeMark = "\t"

// scope tells the ids of a child's commands apart from those of others: each
// identity has senders of its own, who may use the same ids.
func (i *Inbox) scope(cmd gateway.Command) gateway.Command {
	cmd.ID = JournalID(i.child, cmd.ID)
	return cmd
}

// unscoped is a result in the terms of the command's sender.
func unscoped(r gateway.Result) gateway.Result {
	r.CommandID = sendersID(r.CommandID)
	return r
}

// JournalID is the id under which the journal has a command; child is the lane of the
// child that it was sent to, empty for the gateway itself.
func JournalID(child gateway.Lane, id string) string {
	if child == "" {
		return id
	}
	return string(child) + scopeMark + id
}

// ParseJournalID takes apart what JournalID put together.
func ParseJournalID(s string) (child gateway.Lane, id string) {
	if lane, id, scoped := strings.Cut(s, scopeMark); scoped {
		return gateway.Lane(lane), id
	}
	return "", s
}

// sendersID is the id that the sender gave.
func sendersID(s string) string {
	_, id := ParseJournalID(s)
	return id
}
