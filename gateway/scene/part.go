package scene

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// Part is what became of a step of a scene, or of a member of a group.
type Part struct {
	// Step counts from 1; zero for the members of a group.
	Step int `json:"step,omitempty"`
	// Undo marks the undoing of a step.
	Undo   bool             `json:"undo,omitempty"`
	Device gateway.DeviceID `json:"device,omitempty"`
	Action string           `json:"action,omitempty"`
	Wait   string           `json:"wait,omitempty"`
	Status gateway.Status   `json:"status"`
	Detail string           `json:"detail,omitempty"`
}

// What a part can be, beside the final states of commands.
const (
	// statusSkipped is a step whose condition was not true.
	statusSkipped gateway.Status = "skipped"
	// statusUnfinished is a command that was not finished in time. It goes on if it
	// had begun, and its own result tells how it ended.
	statusUnfinished gateway.Status = "unfinished"
)

// fine tells that nothing is wrong with the part.
func (p Part) fine() bool { return p.Status == gateway.StatusDone || p.Status == statusSkipped }

func (p Part) String() string {
	what := "pause"
	if p.Wait == "" {
		what = fmt.Sprintf("%s %s", p.Device, p.Action)
	}
	text := fmt.Sprintf("%s: %s", what, p.Status)
	if p.Step > 0 {
		text = fmt.Sprintf("step %d, %s", p.Step, text)
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// maxDetail bounds the reason of a part: its own result has all of it.
const maxDetail = 200

// ask sends the command of a part through the door and says what became of it.
func (s *Set) ask(ctx context.Context, p Part, cmd gateway.Command) Part {
	p.Device, p.Action = cmd.Device, cmd.Action
	r, err := s.door.Do(ctx, cmd)
	switch {
	case errors.Is(err, gateway.ErrInvalid):
		p.Status, p.Detail = gateway.StatusDenied, err.Error()
	case err != nil:
		p.Status, p.Detail = statusUnfinished, err.Error()
	case r.Device != cmd.Device || r.Action != cmd.Action:
		p.Status = gateway.StatusFailed
		p.Detail = fmt.Sprintf("the id %s belongs to another command: %s %s", cmd.ID, r.Device, r.Action)
	default:
		p.Status, p.Detail = r.Status, r.Detail
	}
	if len(p.Detail) > maxDetail {
		p.Detail = strings.ToValidUTF8(p.Detail[:maxDetail], "") + "…"
	}
	return p
}

// command is a part of another one, and expires with it.
func (s *Set) command(whole gateway.Command, suffix string, end time.Time) gateway.Command {
	now := s.opts.Clock.Now()
	return gateway.Command{
		ID: partID(whole.ID, suffix), Origin: whole.Origin, Received: now, Expires: now.Add(time.Until(end)),
	}
}

// plain are arguments as a command has them.
func plain(args map[string]gateway.Value) map[string]any {
	all := make(map[string]any, len(args))
	for name, v := range args {
		all[name] = expression.Plain(v)
	}
	return all
}

// maxIDBytes is the limit for the id of a command.
const maxIDBytes = 128

// partID is <id>/<suffix>; of an id that is too long for that, a hash stands in.
func partID(id, suffix string) string {
	if len(id)+1+len(suffix) > maxIDBytes {
		sum := sha256.Sum256([]byte(id))
		id = "sha256-" + hex.EncodeToString(sum[:16])
	}
	return id + "/" + suffix
}
