package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Inbox takes commands in; nil means journalled, so that the message may be
// acknowledged upstream.
type Inbox interface {
	Accept(ctx context.Context, cmd gateway.Command) error
	// Refuse records input that is not a command (dead letter and report). Of cmd,
	// the ID, the Origin and ReplyTo count.
	Refuse(ctx context.Context, cmd gateway.Command, raw []byte, reason string) error
}

// Intake hands what a session receives to the inbox. A message that the inbox
// cannot take now, because the disk is full for example, holds back those
// behind it: commands keep their order.
type Intake struct {
	Inbox Inbox
	Log   *slog.Logger
}

// The pauses between attempts to hand one message over.
const (
	minIntakePause = time.Second
	maxIntakePause = 30 * time.Second
)

// Take hands over one message and returns nil once it is journalled, as a
// command or, if fault says why it is none, as a refusal. Only then may it be
// acknowledged upstream. It tries again until ctx, the life of the session,
// ends; the upstream then delivers the message anew. cmd needs an ID and an
// Origin even beside a fault.
func (i Intake) Take(ctx context.Context, cmd gateway.Command, fault error, raw []byte) error {
	for pause := minIntakePause; ; pause = min(2*pause, maxIntakePause) {
		err := i.offer(ctx, cmd, fault, raw)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			i.Log.Error("command not taken in, it stays unacknowledged", "command", cmd.ID,
				"error", err, "next_attempt_in", pause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("command %s: %w (%w)", cmd.ID, err, ctx.Err())
		}
	}
}

func (i Intake) offer(ctx context.Context, cmd gateway.Command, fault error, raw []byte) error {
	if fault == nil {
		fault = i.Inbox.Accept(ctx, cmd)
		if !errors.Is(fault, gateway.ErrInvalid) {
			return fault
		}
	}
	return i.Inbox.Refuse(ctx, cmd, raw, fault.Error())
}
