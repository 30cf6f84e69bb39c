package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
)

// CommandRecord is what the journal knows of one command: the answer to GET
// /v1/command, and, without Args and Values, one of those to GET /v1/commands.
type CommandRecord struct {
	ID string `json:"id"`
	// Child is the lane of the child that it was sent to; empty for the gateway's own.
	Child  gateway.Lane     `json:"child,omitempty"`
	Device gateway.DeviceID `json:"device"`
	Action string           `json:"action"`
	Args   map[string]any   `json:"args,omitempty"`
	Origin gateway.Origin   `json:"origin"`
	// ReplyTo is where its sender waits for the result, beside the lane of all.
	ReplyTo string `json:"reply_to,omitempty"`
	// Status is received while it waits, started while it is carried out, and then its
	// final state.
	Status   gateway.Status `json:"status"`
	Received time.Time      `json:"received"`
	Expires  time.Time      `json:"expires,omitzero"`
	Started  time.Time      `json:"started,omitzero"`
	Finished time.Time      `json:"finished,omitzero"`
	// TookMS is how long it was carried out, in milliseconds; nil if that is not known.
	TookMS *float64       `json:"took_ms,omitempty"`
	Detail string         `json:"detail,omitempty"`
	Values map[string]any `json:"values,omitempty"`
}

// What a command is before it has a final state.
const (
	statusReceived gateway.Status = "received"
	statusStarted  gateway.Status = "started"
)

func commandRecord(e gateway.Entry) CommandRecord {
	c := e.Command
	child, id := command.ParseJournalID(c.ID)
	r := CommandRecord{
		ID: id, Child: child, Device: c.Device, Action: c.Action, Args: c.Args, Origin: c.Origin, ReplyTo: c.ReplyTo, Status: statusReceived,
		Received: c.Received, Expires: c.Expires, Started: e.StartedAt,
	}
	if e.Started {
		r.Status = statusStarted
	}
	if e.Result != nil {
		r.Status, r.Finished, r.Detail, r.Values = e.Result.Status, e.Result.Finished, e.Result.Detail, e.Result.Values
	}
	if e.Took > 0 {
		ms := float64(e.Took.Microseconds()) / 1000
		r.TookMS = &ms
	}
	return r
}

// CancelRequest is the body of POST /v1/commands/cancel; the answer is a
// gateway.Result.
type CancelRequest struct {
	ID    string       `json:"id"`
	Child gateway.Lane `json:"child,omitempty"`
}

// commands lists what the journal has, newest first: of one device and in one state,
// if the query says so.
func (a *queueAPI) commands(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	device, status := gateway.DeviceID(query.Get("device")), gateway.Status(query.Get("status"))
	limit, err := strconv.Atoi(orZero(query.Get("limit")))
	if err != nil || limit < 1 || limit > maxListed {
		fault(w, http.StatusBadRequest, fmt.Errorf("limit: want a number from 1 to %d", maxListed))
		return
	}
	list := []CommandRecord{}
	err = a.queue.Journal().Walk(r.Context(), func(e gateway.Entry) bool {
		c := commandRecord(e)
		if (device == "" || c.Device == device) && (status == "" || c.Status == status) {
			c.Args, c.Values = nil, nil
			list = append(list, c)
		}
		return len(list) < limit
	})
	if err != nil {
		fault(w, statusOf(err), err)
		return
	}
	answer(w, list)
}

// command shows one of them.
func (a *queueAPI) command(w http.ResponseWriter, r *http.Request) {
	id, child := r.URL.Query().Get("id"), gateway.Lane(r.URL.Query().Get("child"))
	e, found, err := a.queue.Journal().Entry(r.Context(), command.JournalID(child, id))
	switch {
	case err != nil:
		fault(w, statusOf(err), err)
	case !found:
		fault(w, http.StatusNotFound, fmt.Errorf("the journal has no command %.130q%s; `fieldpost commands ls` lists those that it has", id, ofChild(child)))
	default:
		answer(w, commandRecord(e))
	}
}

func ofChild(child gateway.Lane) string {
	if child == "" {
		return ""
	}
	return " of the child with lane " + string(child)
}

// cancel ends a command early, on the word of somebody on this board.
func (a *api) cancel(w http.ResponseWriter, r *http.Request) {
	var req CancelRequest
	if !decode(w, r, "cancel", &req) {
		return
	}
	result, err := a.now().control.dispatcher.Cancel(r.Context(), command.JournalID(req.Child, req.ID), "a user of this board")
	switch {
	case errors.Is(err, gateway.ErrUnknown):
		fault(w, http.StatusNotFound, err)
	case err != nil:
		fault(w, statusOf(err), err)
	default:
		_, result.CommandID = command.ParseJournalID(result.CommandID)
		answer(w, result)
	}
}

// cancelAction describes the action cancel of the gateway itself.
func cancelAction() gateway.Action {
	return gateway.Action{
		Name: actionCancel, Idempotent: true, Timeout: time.Minute,
		Help: "Ends another command early: one that waits is denied, one that is being carried out is cut short and fails.",
		Args: []gateway.Arg{
			{Name: "command", Type: gateway.ArgText, Required: true, Help: "id of the command"},
			{Name: "child", Type: gateway.ArgText, Help: "lane of the child that it was sent to, if it was"},
		},
	}
}

// cancel carries the action cancel out.
func (g itself) cancel(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	id, _ := cmd.Args["command"].(string)
	child, _ := cmd.Args["child"].(string)
	by := fmt.Sprintf("command %s (%s)", cmd.ID, cmp.Or(cmd.Origin, gateway.OriginLocal))
	result, err := g.now().control.dispatcher.Cancel(ctx, command.JournalID(gateway.Lane(child), id), by)
	if err != nil {
		return nil, err
	}
	return map[string]any{"command": id, "status": string(result.Status), "detail": result.Detail}, nil
}
