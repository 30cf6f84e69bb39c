package command

import (
	"context"

	"github.com/fieldpost/fieldpost/gateway"
)

// Journal records durably what became of each command.
type Journal interface {
	// Begin records cmd durably as received. If its id is known already, nothing is
	// written and the entry that is there is returned with first == false.
	Begin(ctx context.Context, cmd gateway.Command) (entry gateway.Entry, first bool, err error)
	// Start records durably that the device is about to act.
	Start(ctx context.Context, id string) error
	// Finish records the final state and appends the outgoing messages, in one
	// transaction.
	Finish(ctx context.Context, result gateway.Result, out ...gateway.Message) error
	// Entry returns what is known of a command. An error wraps gateway.ErrUnavailable
	// if nothing can be read for now.
	Entry(ctx context.Context, id string) (entry gateway.Entry, found bool, err error)
	// Pending calls visit with the entries without a result, oldest first.
	Pending(ctx context.Context, visit func(gateway.Entry)) error
}

// Queue accepts messages, all or none; nil means that they are durable.
type Queue interface {
	Append(ctx context.Context, msgs ...gateway.Message) ([]gateway.MessageID, error)
}
