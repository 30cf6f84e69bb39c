package iothub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// Caller takes in commands whose sender waits for the answer.
type Caller interface {
	// Call puts a command on record; wait then gives its final state. If the
	// ctx of wait ends first the command goes on; if the gateway stops first,
	// the error wraps gateway.ErrUnavailable. On an error of Call itself nothing
	// has happened: gateway.ErrInvalid, ErrUnknown, ErrFull or ErrUnavailable.
	Call(ctx context.Context, cmd gateway.Command) (wait func(context.Context) (gateway.Result, error), err error)
}

const (
	methodPrefix = "$iothub/methods/POST/"
	// maxCalls bounds the direct methods that are under way at once, and again
	// those that are being told that there are too many.
	maxCalls = 16
	// statusAccepted is the answer to a command that is on record and has no
	// final state yet.
	statusAccepted gateway.Status = "accepted"
)

// method is a request: {device}.{action}, and the hub's name for it, which the
// answer repeats as it is.
type method struct {
	name, rid string
}

func isMethod(topic string) bool { return strings.HasPrefix(topic, methodPrefix) }

// parseMethod reads $iothub/methods/POST/{name}/?$rid={rid}. It fails for what
// cannot be answered.
func parseMethod(topic string) (method, error) {
	rest, ok := strings.CutPrefix(topic, methodPrefix)
	name, query, found := strings.Cut(rest, "/?")
	if !ok || !found {
		return method{}, fmt.Errorf("method topic %.80q: want %s{name}/?$rid={rid}: %w", topic, methodPrefix, gateway.ErrInvalid)
	}
	if rid, ok := queryValue(query, "$rid"); ok {
		return method{name, rid}, nil
	}
	return method{}, fmt.Errorf("method topic %.80q has no $rid: %w", topic, gateway.ErrInvalid)
}

// responseTopic is where the answer goes.
func (m method) responseTopic(status int) string {
	return "$iothub/methods/res/" + strconv.Itoa(status) + "/?$rid=" + m.rid
}

// command is what the method asks for. Device ids may have dots, actions have
// none, so the last one parts them.
func (m method) command(payload []byte) (gateway.Command, error) {
	// The hub may use a rid again, so the id is one of our own.
	cmd := gateway.Command{ID: "method-" + rand.Text(), Origin: gateway.OriginMethod}
	i := strings.LastIndexByte(m.name, '.')
	if i < 0 {
		return cmd, fmt.Errorf("method %.80q: want {device}.{action}: %w", m.name, gateway.ErrUnknown)
	}
	cmd.Device, cmd.Action = gateway.DeviceID(m.name[:i]), m.name[i+1:]
	var err error
	cmd.Args, err = uplink.ParseArgs(payload)
	return cmd, err
}

// answer is the body of a response that is not a final state.
type answer struct {
	// Command is there if the command is on record.
	Command string           `json:"command,omitempty"`
	Device  gateway.DeviceID `json:"device,omitempty"`
	Action  string           `json:"action,omitempty"`
	Status  gateway.Status   `json:"status"`
	Detail  string           `json:"detail"`
}

// takeCall begins to answer a direct method. It does not wait.
func (s *session) takeCall(in mqtt.Inbound) {
	m, err := parseMethod(in.Topic)
	if err != nil {
		s.parts.Log.Warn("direct method ignored, it cannot be answered", "error", err)
		return
	}
	if s.within(s.calls, func() { s.respond(m, in.Payload) }) || s.within(s.refusals, func() { s.refuse(m) }) {
		return
	}
	s.parts.Log.Warn("direct method not answered, too many come at once", "method", m.name)
}

// within begins some work if there is room for its token.
func (s *session) within(room chan struct{}, work func()) bool {
	select {
	case room <- struct{}{}:
	default:
		return false
	}
	s.do(func() {
		defer func() { <-room }()
		work()
	})
	return true
}

// refuse asks for patience.
func (s *session) refuse(m method) {
	s.reply(m, http.StatusTooManyRequests, answer{
		Status: gateway.StatusDenied, Detail: fmt.Sprintf("%d direct methods are under way already, ask again", maxCalls),
	})
}

// respond carries a direct method out and answers it. If the connection is
// lost meanwhile the command goes on, and its result is reported as a message.
func (s *session) respond(m method, payload []byte) {
	cmd, err := m.command(payload)
	cmd.Received = s.parts.Clock.Now()
	cmd.Expires = cmd.Received.Add(s.config.MethodTimeout)
	ctx, cancel := context.WithTimeout(s.ctx, s.config.MethodTimeout)
	defer cancel()
	var wait func(context.Context) (gateway.Result, error)
	if err == nil {
		wait, err = s.parts.Inbox.Call(ctx, cmd)
	}
	if err != nil {
		s.parts.Log.Warn("direct method refused", "method", m.name, "error", err)
		s.reply(m, refusalStatus(err), answer{Device: cmd.Device, Action: cmd.Action, Status: gateway.StatusDenied, Detail: err.Error()})
		return
	}
	result, err := wait(ctx)
	open := answer{Command: cmd.ID, Device: cmd.Device, Action: cmd.Action, Status: statusAccepted}
	switch {
	case err == nil:
		s.reply(m, finalStatus(result.Status), result)
	case errors.Is(err, gateway.ErrUnavailable):
		open.Detail = err.Error()
		s.reply(m, http.StatusServiceUnavailable, open)
	default:
		open.Detail = "it goes on; a message of kind result with this correlation id will tell how it ended"
		s.reply(m, http.StatusAccepted, open)
	}
}

// refusalStatus is the status of a method that has left nothing on record.
func refusalStatus(err error) int {
	switch {
	case errors.Is(err, gateway.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, gateway.ErrUnknown):
		return http.StatusNotFound
	case errors.Is(err, gateway.ErrFull):
		return http.StatusTooManyRequests
	default:
		return http.StatusServiceUnavailable
	}
}

// finalStatus is the status of a method that has reached its final state.
func finalStatus(s gateway.Status) int {
	switch s {
	case gateway.StatusDone:
		return http.StatusOK
	case gateway.StatusDenied:
		return http.StatusForbidden
	case gateway.StatusExpired:
		return http.StatusRequestTimeout
	case gateway.StatusFailed:
		return http.StatusInternalServerError
	default: // unknown-outcome
		return http.StatusServiceUnavailable
	}
}

// reply sends the answer, if there is a connection to send it on: the caller
// has given up otherwise.
func (s *session) reply(m method, status int, body any) {
	if !s.awaitOpen() {
		return
	}
	data, err := json.Marshal(body)
	if err == nil {
		err = s.Tell(uplink.ForCommands, m.responseTopic(status), data)
	}
	if err != nil {
		s.parts.Log.Warn("direct method not answered", "method", m.name, "status", status, "error", err)
	}
}
