package hubsim

import (
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func TestQuotaIsExceeded(t *testing.T) {
	r := startRig(t)
	r.fault(`{"kind":"quota-exceeded","count":3,"device":"d1"}`)
	p := r.connect("d1", nil)
	p.Publish(p.topic(""), 1, false, "x")
	p.awaitLoss()
	for _, path := range []string{"/devices/d1/messages/devicebound", "/twins/d1/methods"} {
		resp := r.request("POST", path+apiVersion, `{"methodName":"a"}`)
		resp.Body.Close()
		if resp.StatusCode != 403 || resp.Header.Get("iothub-errorcode") != "IotHubQuotaExceeded" {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	r.connect("d1", nil).send("", "tomorrow")
	if list := r.events(""); len(list) != 1 || string(list[0].Body) != `"tomorrow"` {
		t.Errorf("recorded %+v", list)
	}
}

func TestTakeoverFault(t *testing.T) {
	r := startRig(t)
	r.fault(`{"kind":"takeover","ms":50,"count":2}`)
	for range 2 {
		r.connect("d1", nil).awaitLoss()
	}
	r.says("fault injected: the device has connected anew")
	r.connect("d1", nil).send("", "x")
}

func TestTokenIsExpiredByACaller(t *testing.T) {
	r := startRig(t)
	old := r.deviceToken("d1")
	with := func(token string) func(*paho.ClientOptions) {
		return func(o *paho.ClientOptions) { o.SetPassword(token) }
	}
	p := r.connect("d1", with(old))
	r.must("POST", "/hubsim/devices/d1/expire-token", "")
	p.awaitLoss()
	if _, err := r.dial("d1", with(old)); err == nil || !strings.Contains(err.Error(), "not Authorized") {
		t.Errorf("the old token: %v", err)
	}
	r.connect("d1", with(sas("localhost%2Fdevices%2Fd1", r.key("d1"), "", time.Now().Add(2*time.Hour)))).send("", "x")
	if status, _ := r.call("POST", "/hubsim/devices/d2/expire-token", ""); status != 404 {
		t.Errorf("of a device that is away: %d, want 404", status)
	}
}

func TestMaintenance(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	r.must("POST", "/hubsim/maintenance?seconds=600", "")
	p.awaitLoss()
	if _, err := r.dial("d1", nil); err == nil {
		t.Error("connected during maintenance")
	}
	if _, err := r.dial("d1", func(o *paho.ClientOptions) {
		o.Servers = nil
		o.AddBroker("wss://" + r.Info().HTTPS + "/$iothub/websocket")
	}); err == nil {
		t.Error("connected during maintenance, by WebSocket")
	}
	if status, _ := r.call("GET", "/twins/d1"+apiVersion, ""); status != 503 {
		t.Errorf("a back end: %d, want 503", status)
	}
	r.must("DELETE", "/hubsim/maintenance", "")
	r.connect("d1", nil).send("", "x")
	for _, n := range []string{"0", "3601", "x"} {
		if status, _ := r.call("POST", "/hubsim/maintenance?seconds="+n, ""); status != 400 {
			t.Errorf("%s s: %d, want 400", n, status)
		}
	}
}

// A command that is not acknowledged in time comes again on the same
// connection, and the late acknowledgement of the first delivery is nothing.
func TestLockExpires(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.subscribe()
	r.fault(`{"kind":"expire-lock","ms":20}`)
	r.command("d1", "c1", "x")
	first, second := p.receive(), p.receive()
	if first.Duplicate() || !second.Duplicate() || idOf(t, second) != "c1" {
		t.Errorf("got %v %v", first, second)
	}
	first.Ack()
	r.says("PUBACK for a packet that is not in flight")
	if s := r.states("d1")["c1"]; s != stateDelivered {
		t.Errorf("state %s after the late acknowledgement", s)
	}
	second.Ack()
	eventually(t, "completed", func() bool { return r.states("d1")["c1"] == stateCompleted })
}
