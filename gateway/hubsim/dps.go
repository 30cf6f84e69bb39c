package hubsim

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// boarding is the connection of a board that registers itself with the
// provisioning service. It has an enrollment of its own, or it belongs to the
// one group: by a key derived from that of the group, or by a certificate from
// an authority of devices. Every board is assigned to this hub.
type boarding struct {
	hub    *Hub
	client *mochi.Client
	id     string // of the registration
	device string // that comes of it
	credential
	payload   json.RawMessage // of the registration, given back with the answer
	operation string          // of the registration that has begun
	listens   bool            // has subscribed to the answers
	log       *slog.Logger
}

const (
	dpsAnswers  = "$dps/registrations/res/"
	dpsRegister = "$dps/registrations/PUT/iotdps-register/?"
	dpsStatus   = "$dps/registrations/GET/iotdps-get-operationstatus/?"
)

// derivedKey is the key of a board in an enrolment group.
func derivedKey(groupKey, registration string) (string, error) {
	secret, err := base64.StdEncoding.DecodeString(groupKey)
	if err != nil {
		return "", fmt.Errorf("key of the group: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sign(secret, registration)), nil
}

// enrol lets a board in, or says why not.
func (h *Hub) board(cl *mochi.Client, l login, p packets.Packet) (client, error) {
	if l.scope != h.secrets.IDScope {
		return nil, fmt.Errorf("id scope %.40q: that of this hub is %s", l.scope, h.secrets.IDScope)
	}
	if l.registration != p.Connect.ClientIdentifier {
		return nil, fmt.Errorf("client id %.80q and registration %s must be the same", p.Connect.ClientIdentifier, l.registration)
	}
	if p.Connect.WillFlag {
		return nil, errors.New("the provisioning service has no last wills")
	}
	c, device, err := h.credentials(l, string(p.Connect.Password), link(cl).chain)
	if err != nil {
		return nil, err
	}
	return &boarding{hub: h, client: cl, id: l.registration, device: device, credential: c, log: h.log.With("registration", l.registration)}, nil
}

func (e *boarding) publish(p packets.Packet) error {
	err := e.answer(p)
	if err != nil {
		e.stop(err.Error())
		return packets.ErrRejectPacket
	}
	return nil
}

func (e *boarding) answer(p packets.Packet) error {
	if query, ok := strings.CutPrefix(p.TopicName, dpsRegister); ok {
		return e.register(queryValue(query, "$rid"), p.Payload)
	}
	if query, ok := strings.CutPrefix(p.TopicName, dpsStatus); ok {
		return e.status(queryValue(query, "$rid"), queryValue(query, "operationId"))
	}
	return fmt.Errorf("topic %.120q is none of the provisioning service", p.TopicName)
}

func (e *boarding) register(rid string, body []byte) error {
	var request struct {
		ID      string          `json:"registrationId"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(body, &request); err != nil || request.ID != e.id {
		return e.refuse(400, rid, fmt.Sprintf("the body must be JSON with registrationId %s", e.id))
	}
	if enrollment, ok := e.hub.state.enrollment(e.id); ok && enrollment.Disabled {
		return e.refuse(401, rid, "the enrollment is disabled")
	}
	if err := e.hub.state.provision(e.device, e.credential); err != nil {
		return err
	}
	e.payload = request.Payload
	e.operation = "4." + randomHex(8) + "." + randomHex(16)
	e.log.Info("registered")
	return e.send(202, rid+"&retry-after=1", map[string]any{"operationId": e.operation, "status": "assigning"})
}

func (e *boarding) status(rid, operation string) error {
	if operation == "" || operation != e.operation {
		return e.refuse(404, rid, "there is no such operation")
	}
	v, err := e.hub.state.view(e.device)
	if err != nil {
		return e.refuse(404, rid, "the device was deleted meanwhile")
	}
	status, now := "assigned", time.Now().UTC().Format(time.RFC3339)
	if v.Disabled {
		status = "disabled"
	}
	state := map[string]any{
		"registrationId": e.id, "createdDateTimeUtc": now, "lastUpdatedDateTimeUtc": now,
		"assignedHub": e.hub.endpoint(), "deviceId": e.device,
		"status": status, "substatus": "initialAssignment", "etag": v.ETag,
	}
	if len(e.payload) > 0 {
		state["payload"] = e.payload
	}
	return e.send(200, rid, map[string]any{"operationId": operation, "status": status, "registrationState": state})
}

func (e *boarding) refuse(status int, rid, message string) error {
	e.log.Warn("registration refused: " + message)
	return e.send(status, rid, map[string]any{
		"errorCode": status * 1000, "trackingId": randomHex(16), "message": message,
		"timestampUtc": time.Now().UTC().Format(time.RFC3339),
	})
}

// send answers who listens.
func (e *boarding) send(status int, rid string, body any) error {
	if !e.listens {
		e.log.Warn("nobody has subscribed to the answer", "filter", dpsAnswers+"#")
		return nil
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return e.client.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish},
		TopicName:   fmt.Sprintf("%s%d/?$rid=%s", dpsAnswers, status, rid), Payload: data,
	})
}

func (e *boarding) mayRead(filter string) bool { return filter == dpsAnswers+"#" }

func (e *boarding) subscribe(changes map[string]byte) error {
	if qos, ok := changes[dpsAnswers+"#"]; ok {
		e.listens = qos != refused
	}
	return nil
}

func (e *boarding) stop(reason string, args ...any) {
	e.log.Warn("connection closed by the hub: "+reason, args...)
	e.client.Stop(packets.CodeDisconnect)
}

// The rest of a client: no session, no messages to it that need a PUBACK.

func (e *boarding) present() bool             { return false }
func (e *boarding) established()              {}
func (e *boarding) acknowledged(uint16) error { return nil }
func (e *boarding) subscribed()               {}
func (e *boarding) will(mochi.Will)           {}
func (e *boarding) over(error)                {}
