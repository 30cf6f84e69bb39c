package hubsim

import (
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func TestMessageIsRecorded(t *testing.T) {
	r := startRig(t)
	before := time.Now().Add(-time.Second)
	p := r.connect("d1", nil)
	// As the Node SDK writes it.
	p.send("%24.mid=store-1-telemetry-42&%24.cid=c%201&%24.uid=me&%24.ct=application%2Fjson&%24.ce=utf-8&plain=v&sp%20ace=a%20b&empty=&plus=1%2B1&uni=gr%C3%BCn&null", "{\n \"a\": \"<&>ü\"}")
	token := p.Publish(p.topic(""), 0, true, "just text \x00 \u2028")
	token.Wait()
	p.send("$.ct=application/json", "{no json")
	p.send("", string([]byte{0xff, 0xfe}))
	list := r.events("")
	if len(list) != 4 {
		t.Fatalf("%d messages, want 4; log:\n%s", len(list), r.log)
	}
	e := list[0]
	if e.Offset != 1 || e.Device != "d1" || e.Enqueued.Before(before) || string(e.Body) != `{"a":"<&>ü"}` {
		t.Errorf("got %+v, body %s", e, e.Body)
	}
	id, _ := r.state.identity("d1")
	for name, want := range map[string]string{
		"message-id": "store-1-telemetry-42", "correlation-id": "c 1", "user-id": "me",
		"content-type": "application/json", "content-encoding": "utf-8",
		"iothub-connection-device-id":          "d1",
		"iothub-connection-auth-generation-id": id.GenerationID,
		"iothub-connection-auth-method":        `{"scope":"device","type":"sas","issuer":"iothub"}`,
		"iothub-message-source":                "Telemetry",
		"iothub-enqueuedtime":                  e.Enqueued.Format("2006-01-02T15:04:05.000Z"),
	} {
		if e.System[name] != want {
			t.Errorf("system property %s = %q, want %q", name, e.System[name], want)
		}
	}
	for name, want := range map[string]string{"plain": "v", "sp ace": "a b", "empty": "", "plus": "1+1", "uni": "grün", "null": ""} {
		if got, ok := e.Properties[name]; !ok || got != want {
			t.Errorf("property %s = %q, want %q", name, got, want)
		}
	}
	if e := list[1]; string(e.Body) != `"just text \u0000 \u2028"` || e.Properties["mqtt-retain"] != "true" {
		t.Errorf("text: %+v, body %s", e, e.Body)
	}
	if e := list[2]; string(e.Body) != `"{no json"` {
		t.Errorf("text that is no JSON: body %s", e.Body)
	}
	if e := list[3]; e.BodyBase64 != "//4=" || e.Body != nil {
		t.Errorf("binary: %+v", e)
	}
}

func TestLastWill(t *testing.T) {
	r := startRig(t)
	will := func(o *paho.ClientOptions) { o.SetWill("devices/d1/messages/events/why=gone", "bye", 1, false) }
	r.connect("d1", will).Disconnect(50)
	eventually(t, "disconnected", func() bool { c, _ := r.state.connection("d1"); return c == nil })
	if list := r.events(""); len(list) != 0 {
		t.Errorf("a will after a DISCONNECT: %+v", list)
	}
	p := r.connect("d1", will)
	r.must("POST", "/hubsim/devices/d1/disconnect", "")
	p.awaitLoss()
	eventually(t, "the will is recorded", func() bool { return r.record.newest() == 1 })
	if e := r.events("")[0]; e.Properties["iothub-MessageType"] != "Will" || e.Properties["why"] != "gone" || string(e.Body) != `"bye"` {
		t.Errorf("got %+v, body %s", e, e.Body)
	}
}

func TestFaults(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	silent := func(body string) { // no PUBACK comes, the connection stays
		t.Helper()
		token := p.Publish(p.topic(""), 1, false, body)
		p.send("", "after "+body)
		select {
		case <-token.Done():
			t.Errorf("%s was acknowledged", body)
		default:
		}
	}
	r.fault(`{"kind":"drop-puback","device":"d2"}`) // not this device
	r.fault(`{"kind":"drop-puback"}`)
	silent("dropped puback")
	r.fault(`{"kind":"drop-message"}`)
	silent("dropped message")

	r.fault(`{"kind":"drop-puback","after":1,"device":"d1"}`)
	p.send("", "let through")
	silent("dropped later")

	r.fault(`{"kind":"delay-puback","ms":200}`)
	started := time.Now()
	p.send("", "late")
	if d := time.Since(started); d < 190*time.Millisecond {
		t.Errorf("the PUBACK came after %v, want 200 ms", d)
	}

	r.fault(`{"kind":"kill-before-puback","count":1}`)
	token := p.Publish(p.topic(""), 1, false, "killed")
	p.awaitLoss()
	select {
	case <-token.Done():
		if token.Error() == nil {
			t.Error("the message was acknowledged before the cut")
		}
	default:
	}
	var bodies []string
	for _, e := range r.events("") {
		bodies = append(bodies, strings.Trim(string(e.Body), `"`))
	}
	want := "dropped puback|after dropped puback|after dropped message|let through|dropped later|after dropped later|late|killed"
	if got := strings.Join(bodies, "|"); got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
	if left := r.must("GET", "/hubsim/faults", ""); !strings.Contains(left, `"device":"d2"`) {
		t.Errorf("faults left: %s, want that of d2", left)
	}
	r.must("DELETE", "/hubsim/faults", "")
	if left := r.must("GET", "/hubsim/faults", ""); strings.TrimSpace(left) != "[]" {
		t.Errorf("faults left: %s, want none", left)
	}
}

func TestFaultsOfConnections(t *testing.T) {
	r := startRig(t)
	r.fault(`{"kind":"refuse-connect"}`)
	if _, err := r.dial("d1", nil); err == nil || !strings.Contains(err.Error(), "Unavailable") {
		t.Errorf("refused with %v, want unavailable", err)
	}
	r.fault(`{"kind":"refuse-connect","code":5}`)
	if _, err := r.dial("d1", nil); err == nil || !strings.Contains(err.Error(), "not Authorized") {
		t.Errorf("refused with %v, want not authorized", err)
	}
	r.fault(`{"kind":"throttle"}`)
	p := r.connect("d1", nil)
	p.awaitLoss()
	r.connect("d1", nil).send("", "x")
}

func TestFaultsThatAreNone(t *testing.T) {
	r := startRig(t)
	for body, want := range map[string]string{
		`{"kind":"explode"}`:                           "drop-puback, kill-before-puback, drop-message, delay-puback, quota-exceeded, refuse-connect, throttle",
		`{"kind":"drop-puback","count":-1}`:            "1 to 1000000",
		`{"kind":"delay-puback"}`:                      "1 to 600000",
		`{"kind":"drop-puback","ms":5}`:                "delay-puback, expire-lock, takeover alone",
		`{"kind":"refuse-connect","code":4}`:           "3 or 5",
		`{"kind":"throttle","code":3}`:                 "code is for refuse-connect, ",
		`{"kind":"drop-puback","colour":"red"}`:        "colour",
		`{"kind":"throttle","after":-1}`:               "after -1",
		`drop-puback`:                                  "for example",
		`{"kind":"delay-puback","ms":5,"count":1e100}`: "no fault",
	} {
		if status, answer := r.call("POST", "/hubsim/faults", body); status != 400 || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s, want 400 and %q", body, status, answer, want)
		}
	}
}

// What was acknowledged is in the file: a copy of it taken then holds it all.
func TestKillLosesNothing(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.subscribe()
	for _, body := range []string{"1", "2", "3"} {
		p.send("store=s&lane=l&seq="+body, body)
	}
	r.command("d1", "done", "x")
	p.receive().Ack()
	eventually(t, "completed", func() bool { return r.states("d1")["done"] == stateCompleted })
	r.command("d1", "open", "x")
	p.receive()

	copied := copyDir(t, r.dir) // as kill -9 leaves it: nothing is closed
	tear(t, copied+"/events.ndjson", `{"offset":4,"device":"d1","enqueued":"`+strings.Repeat("x", 5000))
	tear(t, copied+"/state.ndjson", `{"command":{"num`)
	key := r.key("d1")
	r2 := startRigIn(t, copied, Options{})
	list := r2.events("")
	if len(list) != 3 || list[2].Offset != 3 {
		t.Errorf("messages after the restart: %+v", list)
	}
	if r2.key("d1") != key || r2.secrets.GroupKey != r.secrets.GroupKey {
		t.Error("keys have changed")
	}
	if rows := r2.audit.rows(); len(rows) != 1 || rows[0].Received != 3 || rows[0].Holes != 0 {
		t.Errorf("audit after the restart: %+v", rows)
	}
	if got := r2.states("d1"); got["done"] != stateCompleted || got["open"] != stateQueued || len(got) != 2 {
		t.Errorf("commands after the restart: %v", got)
	}
	p2 := r2.connect("d1", nil) // trusts the same authority
	if m := p2.receive(); !m.Duplicate() {
		t.Error("the redelivery is not marked as one")
	}
	p2.send("", "next")
	if list := r2.events("after=3"); len(list) != 1 || list[0].Offset != 4 {
		t.Errorf("the next message: %+v, want offset 4", list)
	}
	if list := r2.restart().events(""); len(list) != 4 { // nothing of the torn line is left
		t.Errorf("messages after another restart: %+v", list)
	}
}
