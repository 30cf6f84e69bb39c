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

// enrolment is the connection of a board that registers itself with the
// provisioning service. There is one group, with a symmetric key, and every
// board in it is assigned to this hub.
type enrolment struct {
	hub       *Hub
	client    *mochi.Client
	id        string // of the registration, and of the device that comes of it
	key       string // derived from that of the group
	operation string // of the registration that has begun
	listens   bool   // has subscribed to the answers
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
func (h *Hub) enrol(cl *mochi.Client, l login, p packets.Packet) (client, error) {
	if l.scope != h.secrets.IDScope {
		return nil, fmt.Errorf("id scope %.40q: that of this hub is %s", l.scope, h.secrets.IDScope)
	}
	if l.registration != p.Connect.ClientIdentifier {
		return nil, fmt.Errorf("client id %.80q and registration %s must be the same", p.Connect.ClientIdentifier, l.registration)
	}
	if p.Connect.WillFlag {
		return nil, errors.New("the provisioning service has no last wills")
	}
	t, err := parseToken(string(p.Connect.Password))
	if err != nil {
		return nil, err
	}
	key, err := derivedKey(h.secrets.GroupKey, l.registration)
	switch {
	case err != nil:
		return nil, err
	case t.host != l.scope || !t.covers("registrations/"+l.registration):
		return nil, fmt.Errorf("the token is for %.80q, not for this registration", t.host+"/"+t.path)
	case t.policy != "registration" || !t.signedBy(key):
		return nil, errors.New("the token is not signed with the key derived for this registration, under the name registration")
	case !t.expires.After(time.Now()):
		return nil, fmt.Errorf("the token ended at %s", t.expires.UTC().Format(time.RFC3339))
	}
	return &enrolment{hub: h, client: cl, id: l.registration, key: key, log: h.log.With("registration", l.registration)}, nil
}

func (e *enrolment) publish(p packets.Packet) error {
	err := e.answer(p)
	if err != nil {
		e.stop(err.Error())
		return packets.ErrRejectPacket
	}
	return nil
}

func (e *enrolment) answer(p packets.Packet) error {
	if query, ok := strings.CutPrefix(p.TopicName, dpsRegister); ok {
		return e.register(queryValue(query, "$rid"), p.Payload)
	}
	if query, ok := strings.CutPrefix(p.TopicName, dpsStatus); ok {
		return e.status(queryValue(query, "$rid"), queryValue(query, "operationId"))
	}
	return fmt.Errorf("topic %.120q is none of the provisioning service", p.TopicName)
}

func (e *enrolment) register(rid string, body []byte) error {
	var request struct {
		ID string `json:"registrationId"`
	}
	if err := json.Unmarshal(body, &request); err != nil || request.ID != e.id {
		return e.refuse(400, rid, fmt.Sprintf("the body must be JSON with registrationId %s", e.id))
	}
	if err := e.hub.state.provision(e.id, e.key); err != nil {
		return err
	}
	e.operation = "4." + randomHex(8) + "." + randomHex(16)
	e.log.Info("registered")
	return e.send(202, rid+"&retry-after=1", map[string]any{"operationId": e.operation, "status": "assigning"})
}

func (e *enrolment) status(rid, operation string) error {
	if operation == "" || operation != e.operation {
		return e.refuse(404, rid, "there is no such operation")
	}
	v, err := e.hub.state.view(e.id)
	if err != nil {
		return e.refuse(404, rid, "the device was deleted meanwhile")
	}
	status, now := "assigned", time.Now().UTC().Format(time.RFC3339)
	if v.Disabled {
		status = "disabled"
	}
	return e.send(200, rid, map[string]any{
		"operationId": operation, "status": status,
		"registrationState": map[string]any{
			"registrationId": e.id, "createdDateTimeUtc": now, "lastUpdatedDateTimeUtc": now,
			"assignedHub": e.hub.endpoint(), "deviceId": e.id,
			"status": status, "substatus": "initialAssignment", "etag": v.ETag,
		},
	})
}

func (e *enrolment) refuse(status int, rid, message string) error {
	e.log.Warn("registration refused: " + message)
	return e.send(status, rid, map[string]any{
		"errorCode": status * 1000, "trackingId": randomHex(16), "message": message,
		"timestampUtc": time.Now().UTC().Format(time.RFC3339),
	})
}

// send answers who listens.
func (e *enrolment) send(status int, rid string, body any) error {
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

// provision makes the device of a registration, with the key of the board.
func (s *state) provision(id, key string) error {
	err := s.create(id, key, "")
	if !errors.Is(err, errDeviceExists) {
		return err
	}
	if i, ok := s.identity(id); ok && i.Primary == key {
		return nil
	}
	_, err = s.update(id, "*", func(i *identity) { i.Primary = key })
	return err
}

func (e *enrolment) mayRead(filter string) bool { return filter == dpsAnswers+"#" }

func (e *enrolment) subscribe(changes map[string]byte) error {
	if qos, ok := changes[dpsAnswers+"#"]; ok {
		e.listens = qos != refused
	}
	return nil
}

func (e *enrolment) stop(reason string, args ...any) {
	e.log.Warn("connection closed by the hub: "+reason, args...)
	e.client.Stop(packets.CodeDisconnect)
}

// The rest of a client: no session, no messages to it that need a PUBACK.

func (e *enrolment) present() bool             { return false }
func (e *enrolment) established()              {}
func (e *enrolment) acknowledged(uint16) error { return nil }
func (e *enrolment) subscribed()               {}
func (e *enrolment) will(mochi.Will)           {}
func (e *enrolment) over(error)                {}
