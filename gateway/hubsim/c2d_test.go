package hubsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func TestCommandArrives(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.subscribe()
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	r.command("d1", "m:1", `{"a":1}`, "iothub-correlationid", "c 1/2", "iothub-ack", "full",
		"iothub-expiry", expiry.Format(time.RFC3339), "iothub-app-Name", "va%l", "iothub-contenttype", "application/json")
	m := p.receive()
	bag, ok := strings.CutPrefix(m.Topic(), "devices/d1/messages/devicebound/")
	if !ok || strings.Contains(bag, "/") {
		t.Errorf("topic %s", m.Topic())
	}
	properties, err := parseBag(bag)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"$.mid": "m:1", "$.cid": "c 1/2", "$.to": "/devices/d1/messages/devicebound", "iothub-ack": "full",
		"$.exp": expiry.Format("2006-01-02T15:04:05.0000000Z"), "name": "va%l", "$.ct": "application/json",
	} {
		if got := value(properties, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if string(m.Payload()) != `{"a":1}` || m.Qos() != 1 || m.Retained() || m.Duplicate() || len(properties) != 7 {
		t.Errorf("got %+v with %v", m, properties)
	}
	if s := r.states("d1")["m:1"]; s != stateDelivered {
		t.Errorf("state %s before the PUBACK", s)
	}
	m.Ack()
	eventually(t, "completed", func() bool { return r.states("d1")["m:1"] == stateCompleted })
	var list []struct {
		ID, State string
		Expiry    time.Time
		Count     int `json:"delivery_count"`
	}
	if err := json.Unmarshal([]byte(r.must("GET", "/hubsim/commands?device=d1", "")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].ID != "m:1" || list[0].State != "completed" || list[0].Count != 1 || !list[0].Expiry.Equal(expiry) {
		t.Errorf("listed %+v", list)
	}
}

// Unacknowledged commands come again in order, also when some of them were
// acknowledged, and before the device subscribes anew.
func TestRedeliveryInOrder(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.subscribe()
	for i := range 6 {
		r.command("d1", fmt.Sprint("c", i), "x")
	}
	var got []string
	for i := range 6 {
		m := p.receive()
		got = append(got, idOf(t, m))
		if i < 2 {
			m.Ack()
		}
	}
	if s := strings.Join(got, " "); s != "c0 c1 c2 c3 c4 c5" {
		t.Errorf("delivered %s", s)
	}
	eventually(t, "two are completed", func() bool { return r.states("d1")["c1"] == stateCompleted })
	r.must("POST", "/hubsim/devices/d1/disconnect", "")
	p.awaitLoss()
	eventually(t, "what it has not acknowledged waits again", func() bool { return r.states("d1")["c5"] == stateQueued })
	r.command("d1", "c6", "x") // while it is away
	p = r.connect("d1", nil)
	got = nil
	for range 5 {
		m := p.receive()
		got = append(got, fmt.Sprint(idOf(t, m), m.Duplicate()))
		m.Ack()
	}
	if s := strings.Join(got, " "); s != "c2true c3true c4true c5true c6false" {
		t.Errorf("delivered again: %s", s)
	}
	eventually(t, "all are completed", func() bool {
		for _, s := range r.states("d1") {
			if s != stateCompleted {
				return false
			}
		}
		return true
	})
}

// A newer connection of the device gets what the older has not acknowledged,
// and the older can acknowledge nothing any more.
func TestRedeliveryToNewerConnection(t *testing.T) {
	r := startRig(t)
	older := r.connect("d1", nil)
	older.subscribe()
	r.command("d1", "c1", "x")
	late := older.receive()
	newer := r.connect("d1", nil)
	older.awaitLoss()
	late.Ack()
	m := newer.receive()
	if id := idOf(t, m); id != "c1" || !m.Duplicate() {
		t.Errorf("the newer connection got %s, a duplicate %v", id, m.Duplicate())
	}
	newer.send("", "a round trip")
	if s := r.states("d1")["c1"]; s != stateDelivered {
		t.Errorf("state %s, want %s", s, stateDelivered)
	}
	m.Ack()
	eventually(t, "completed", func() bool { return r.states("d1")["c1"] == stateCompleted })
}

func idOf(t *testing.T, m paho.Message) string {
	t.Helper()
	bag, err := parseBag(strings.TrimPrefix(m.Topic(), "devices/d1/messages/devicebound/"))
	if err != nil {
		t.Fatal(err)
	}
	return value(bag, "$.mid")
}

func TestCommandExpires(t *testing.T) {
	r := startRig(t)
	r.command("d1", "short", "x", "iothub-expiry", time.Now().Add(-time.Second).Format(time.RFC3339))
	r.command("d1", "long", "x")
	if s := r.states("d1"); s["short"] != stateDeadLettered || s["long"] != stateQueued {
		t.Errorf("states %v", s)
	}
	p := r.connect("d1", nil)
	p.subscribe()
	m := p.receive()
	if id := idOf(t, m); id != "long" {
		t.Errorf("delivered %s", id)
	}
	m.Ack()
	list, _ := r.state.commands("d1")
	if life := list[1].Expiry.Sub(list[1].Enqueued); life != time.Hour {
		t.Errorf("a command without expiry lives for %v, want 1 h", life)
	}
}

func TestQueueIsFull(t *testing.T) {
	r := startRig(t)
	path := "/devices/d1/messages/devicebound?api-version=2021-04-12"
	for i := range maxQueue {
		r.command("d1", fmt.Sprint(i), "x")
	}
	resp := r.request("POST", path, "x")
	resp.Body.Close()
	if resp.StatusCode != 403 || resp.Header.Get("iothub-errorcode") != "DeviceMaximumQueueDepthExceeded" {
		t.Errorf("the 51st: %d %s", resp.StatusCode, resp.Header.Get("iothub-errorcode"))
	}
	p := r.connect("d1", nil)
	p.subscribe()
	for i := range maxQueue {
		if m := p.receive(); idOf(t, m) != fmt.Sprint(i) {
			t.Fatalf("%s came as number %d", m.Topic(), i)
		}
	}
	r.command("d2", "other", "x") // another device has room
}

func TestCommandIsRefused(t *testing.T) {
	r := startRig(t)
	path := "/devices/d1/messages/devicebound?api-version=2021-04-12"
	for name, c := range map[string]struct {
		path, body, header, value, want string
		status                          int
	}{
		"unknown device": {path: "/devices/d9/messages/devicebound?api-version=1", status: 404, want: "ErrorCode:DeviceNotFound"},
		"too large":      {path: path, body: strings.Repeat("x", maxCommandBytes+1), status: 413, want: "65,536"},
		"expiry":         {path: path, header: "iothub-expiry", value: "soon", status: 400, want: "iothub-expiry"},
		"ack":            {path: path, header: "iothub-ack", value: "maybe", status: 400, want: "positive"},
		"id":             {path: path, header: "iothub-messageid", value: "a b", status: 400, want: "iothub-messageid"},
		"property":       {path: path, header: "iothub-app-x", value: "a b", status: 400, want: "iothub-app-x"},
		"no api-version": {path: "/devices/d1/messages/devicebound", status: 400, want: "api-version"},
	} {
		header := []string{"x-none", ""}
		if c.header != "" {
			header = []string{c.header, c.value}
		}
		if status, answer := r.call("POST", c.path, c.body, header...); status != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %s, want %d and %q", name, status, answer, c.status, c.want)
		}
	}
	r.command("d1", "largest", strings.Repeat("x", maxCommandBytes))
	if n := len(r.states("d1")); n != 1 {
		t.Errorf("%d commands in the queue, want 1", n)
	}
}

func TestCommandAtQoS0(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	if token := p.Subscribe("devices/d1/messages/devicebound/#", 0, nil); !token.WaitTimeout(patience) {
		t.Fatal("no SUBACK")
	}
	r.command("d1", "c1", "x")
	if m := p.receive(); m.Qos() != 0 {
		t.Errorf("QoS %d, want 0", m.Qos())
	}
	if s := r.states("d1")["c1"]; s != stateCompleted {
		t.Errorf("state %s: nobody will acknowledge it", s)
	}
}

// A device forgets the oldest of what has ended, never what is under way.
func TestEndedCommandsAreForgotten(t *testing.T) {
	r := startRig(t)
	r.command("d1", "open", "x")
	past := time.Now().Add(-time.Second)
	for i := range maxQueue + keepEnded + 20 {
		if err := r.state.send(&command{Device: "d1", ID: fmt.Sprint(i), Expiry: past}); err != nil {
			t.Fatal(err)
		}
	}
	states := r.states("d1")
	if len(states) > maxQueue+keepEnded || states["open"] != stateQueued || states[fmt.Sprint(maxQueue+keepEnded+19)] != stateDeadLettered {
		t.Errorf("%d commands are remembered, open is %q", len(states), states["open"])
	}
}
