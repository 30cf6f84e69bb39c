package hubsim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func (r *rig) board(id, key, scope string) func(*paho.ClientOptions) {
	return func(o *paho.ClientOptions) {
		o.SetClientID(id).SetCleanSession(true).
			SetUsername(scope + "/registrations/" + id + "/api-version=2019-03-31&ClientVersion=x").
			SetPassword(sas(scope+"/registrations/"+id, key, "registration", time.Now().Add(time.Hour))) // not encoded, as Node does
	}
}

func TestBoardRegistersItself(t *testing.T) {
	r := startRig(t)
	key, err := derivedKey(r.Info().DPS.GroupKey, "board-7")
	if err != nil {
		t.Fatal(err)
	}
	p := r.connect("d1", r.board("board-7", key, r.Info().DPS.IDScope))
	p.Publish("$dps/registrations/PUT/iotdps-register/?$rid=early", 1, false, `{"registrationId":"board-7"}`).WaitTimeout(patience)
	r.says("nobody has subscribed to the answer") // and r0 is the first to be answered
	if token := p.Subscribe("$dps/registrations/res/#", 1, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	ask := func(topic, body string) (string, map[string]any) {
		t.Helper()
		p.Publish(topic, 1, false, body)
		m := p.receive()
		var answer map[string]any
		if err := json.Unmarshal(m.Payload(), &answer); err != nil {
			t.Fatalf("%s: %v", m.Payload(), err)
		}
		return strings.TrimPrefix(m.Topic(), "$dps/registrations/res/"), answer
	}
	if topic, answer := ask("$dps/registrations/PUT/iotdps-register/?$rid=r0", `{"registrationId":"other"}`); topic != "400/?$rid=r0" || answer["message"] == "" {
		t.Errorf("a registration for another board: %s %v", topic, answer)
	}
	topic, answer := ask("$dps/registrations/PUT/iotdps-register/?$rid=r1", `{"registrationId":"board-7"}`)
	if topic != "202/?$rid=r1&retry-after=1" || answer["status"] != "assigning" {
		t.Errorf("register: %s %v", topic, answer)
	}
	operation, _ := answer["operationId"].(string)
	topic, answer = ask("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=r2&operationId="+operation, " ")
	state, _ := answer["registrationState"].(map[string]any)
	if topic != "200/?$rid=r2" || answer["status"] != "assigned" || state["assignedHub"] != r.endpoint() || state["deviceId"] != "board-7" {
		t.Errorf("status: %s %v", topic, answer)
	}
	if topic, _ := ask("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=r3&operationId=4.x", " "); topic != "404/?$rid=r3" {
		t.Errorf("status of another operation: %s", topic)
	}
	if r.key("board-7") != key {
		t.Error("the device does not have the derived key")
	}
	r.connect("board-7", nil).send("", "x") // while the other connection is open
	p.Publish("devices/board-7/messages/events/", 1, false, "x")
	p.awaitLoss()
	r.says("none of the provisioning service")
}

func TestRegistrationIsRefused(t *testing.T) {
	r := startRig(t)
	scope := r.Info().DPS.IDScope
	key, _ := derivedKey(r.Info().DPS.GroupKey, "board-7")
	for reason, edit := range map[string]func(*paho.ClientOptions){
		"not signed with the key of this registration": r.board("board-7", r.Info().DPS.GroupKey, scope),
		"id scope": r.board("board-7", key, "0ne000"),
		"not for this registration": func(o *paho.ClientOptions) {
			r.board("board-8", key, scope)(o)
			password := o.Password
			r.board("board-7", key, scope)(o)
			o.SetPassword(password)
		},
		"must be the same": func(o *paho.ClientOptions) {
			r.board("board-7", key, scope)(o)
			o.SetClientID("board-8")
		},
	} {
		if _, err := r.dial("d1", edit); err == nil || !strings.Contains(err.Error(), "not Authorized") {
			t.Errorf("%s: error %v, want not authorized", reason, err)
		}
		r.says(reason)
	}
}
