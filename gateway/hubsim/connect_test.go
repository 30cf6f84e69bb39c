package hubsim

import (
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func TestConnectIsRefused(t *testing.T) {
	r := startRig(t)
	soon := time.Now().Add(time.Hour)
	r.must("PUT", "/devices/off?api-version=2021-04-12", `{"deviceId":"off","status":"disabled"}`)
	for name, c := range map[string]struct {
		edit   func(*paho.ClientOptions)
		reason string
	}{
		"wrong key": {func(o *paho.ClientOptions) {
			o.SetPassword(sas("localhost%2Fdevices%2Fd1", newKey(), "", soon))
		}, "not signed with a key of device d1"},
		"token of another device": {func(o *paho.ClientOptions) { o.SetPassword(r.deviceToken("d2")) }, "does not cover devices/d1"},
		"other client id": {func(o *paho.ClientOptions) {
			o.SetClientID("d2")
		}, "must be the same device"},
		"expired": {func(o *paho.ClientOptions) {
			o.SetPassword(sas("localhost%2Fdevices%2Fd1", r.key("d1"), "", time.Now().Add(-time.Second)))
		}, "the token ended at"},
		"no token":   {func(o *paho.ClientOptions) { o.SetPassword("") }, "there is no token"},
		"other host": {func(o *paho.ClientOptions) { o.SetUsername("example.com/d1/?api-version=2021-04-12") }, "the hub's name is localhost"},
		"unknown device": {func(o *paho.ClientOptions) {
			o.SetClientID("d9").SetUsername("localhost/d9")
		}, "there is no such device"},
		"policy without the right": {func(o *paho.ClientOptions) {
			o.SetPassword(sas("localhost", r.secrets.Policies["service"], "service", soon))
		}, "does not have the right"},
		"policy with another key": {func(o *paho.ClientOptions) {
			o.SetPassword(sas("localhost", r.key("d1"), "device", soon))
		}, "not signed with the key of a policy"},
		"disabled": {func(o *paho.ClientOptions) {
			o.SetClientID("off").SetUsername("localhost/off").SetPassword(r.deviceToken("off"))
		}, "device off is disabled"},
		"foreign will": {func(o *paho.ClientOptions) { o.SetWill("devices/d2/messages/events/", "x", 1, false) }, "the last will is no message"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.dial("d1", c.edit)
			if err == nil || !strings.Contains(err.Error(), "not Authorized") { // CONNACK 5
				t.Errorf("error %v, want not authorized", err)
			}
			r.says(c.reason)
		})
	}
}

func TestConnectIsAllowed(t *testing.T) {
	r := startRig(t)
	soon := time.Now().Add(time.Hour)
	second, _ := r.state.identity("d1")
	for name, edit := range map[string]func(*paho.ClientOptions){
		"as the gateway does": nil,
		"secondary key": func(o *paho.ClientOptions) {
			o.SetPassword(sas("localhost%2fdevices%2fd1", second.Secondary, "", soon))
		},
		"policy": func(o *paho.ClientOptions) {
			o.SetPassword(sas("localhost", r.secrets.Policies["device"], "device", soon))
		},
		"port in the host": func(o *paho.ClientOptions) {
			o.SetUsername("LocalHost:8883/d1/?api-version=2021-04-12&DeviceClientType=x%2F1").
				SetPassword(sas("localhost%3A8883%2Fdevices%2Fd1", r.key("d1"), "", soon))
		},
		"old user name": func(o *paho.ClientOptions) { o.SetUsername("localhost/d1/api-version=2016-11-14&x=y") },
		"websocket": func(o *paho.ClientOptions) {
			o.Servers = nil
			o.AddBroker("wss://" + r.Info().HTTPS + "/$iothub/websocket")
		},
	} {
		t.Run(name, func(_ *testing.T) {
			p := r.connect("d1", edit)
			p.send("name="+escape(name), "x")
			p.Disconnect(10)
		})
	}
	if n := len(r.events("")); n != 6 {
		t.Errorf("%d messages, want 6", n)
	}
}

func TestOtherProtocolVersions(t *testing.T) {
	r := startRig(t)
	_, err := r.dial("d1", func(o *paho.ClientOptions) { o.SetProtocolVersion(3) })
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("MQTT 3.1: error %v", err)
	}
	conn := r.rawDial()
	connect := []byte{0x10, 15, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, 2, 'd', '1'}
	if _, err := conn.Write(connect); err != nil {
		t.Fatal(err)
	}
	if got := readAll(conn); got != "\x20\x02\x00\x01" {
		t.Errorf("MQTT 5: answer %q, want CONNACK 1 and the end", got)
	}
}

func TestTokenEndsTheConnection(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", func(o *paho.ClientOptions) {
		o.SetPassword(sas("localhost%2Fdevices%2Fd1", r.key("d1"), "", time.Now().Add(2*time.Second)))
	})
	p.awaitLoss()
	r.says("the token of the device has ended")
}

func TestNewerConnectionWins(t *testing.T) {
	r := startRig(t)
	conn := r.rawDial() // to see every byte
	if _, err := conn.Write(r.rawConnect("d1", 60)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected", func() bool { c, _ := r.state.connection("d1"); return c != nil })
	p := r.connect("d1", nil)
	if got := readAll(conn); got != "\x20\x02\x00\x00" {
		t.Errorf("the older client saw %q, want its CONNACK and the end", got)
	}
	r.says("the device has connected anew")
	p.send("", "still here")
	if c, _ := r.state.connection("d1"); c == nil {
		t.Error("the newer connection is not on record")
	}
}

func TestHubClosesTheConnection(t *testing.T) {
	r := startRig(t)
	big := strings.Repeat("x", maxMessageBytes-3)
	for name, c := range map[string]struct {
		topic  string
		qos    byte
		body   string
		reason string
	}{
		"foreign topic":   {"devices/d2/messages/events/", 1, "x", "is not for this device"},
		"QoS 0, too":      {"some/topic", 0, "x", `some/topic`},
		"no final slash":  {"devices/d1/messages/events", 1, "x", "is not for this device"},
		"QoS 2":           {"devices/d1/messages/events/", 2, "x", "QoS 2"},
		"oversize":        {"devices/d1/messages/events/a=bcd", 1, big, "262145 bytes"},
		"far oversize":    {"devices/d1/messages/events/", 1, strings.Repeat("x", 400_000), "packet too large"},
		"twice":           {"devices/d1/messages/events/$.mid=1&%24.mid=2", 1, "x", "is there twice"},
		"bad encoding":    {"devices/d1/messages/events/a=%zz", 1, "x", "invalid URL escape"},
		"plus":            {"devices/d1/messages/events/a=1+1", 1, "x", ""},
		"hash":            {"devices/d1/messages/events/a=#", 1, "x", ""},
		"system property": {"devices/d1/messages/events/%24.nope=1", 1, "x", "there is no system property"},
		"message id":      {"devices/d1/messages/events/%24.mid=a%20b", 1, "x", "message id"},
	} {
		t.Run(name, func(_ *testing.T) {
			p := r.connect("d1", nil)
			p.Publish(c.topic, c.qos, false, c.body)
			p.awaitLoss()
			r.says(c.reason)
		})
	}
	if list := r.events(""); len(list) != 0 {
		t.Errorf("recorded: %+v", list)
	}
	p := r.connect("d1", nil)
	p.send("a=b", big+"x") // 262,144 exactly
}

func TestSubscriptions(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	for filter, want := range map[string]byte{
		"devices/d1/messages/devicebound/#":        1,
		"devices/d1/messages/deviceBound/#":        1,
		"$iothub/twin/res/#":                       1,
		"$iothub/methods/POST/#":                   1,
		"devices/d2/messages/devicebound/#":        0x80,
		"devices/d1/#":                             0x80,
		"#":                                        0x80,
		"$SYS/#":                                   0x80,
		"$iothub/twin/PATCH/properties/desired/#":  1,
		"$iothub/twin/PATCH/properties/reported/#": 0x80,
	} {
		token, ok := p.Subscribe(filter, 2, nil).(*paho.SubscribeToken)
		if !ok || !token.WaitTimeout(patience) || token.Result()[filter] != want {
			t.Errorf("%s: granted %v, want %d", filter, token.Result(), want)
		}
	}
}

// The Node SDK subscribes once in its life and counts on the session.
func TestSessionKeepsSubscriptions(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.subscribe()
	p.Disconnect(10)
	r = r.restart() // a hub does not forget either
	p = r.connect("d1", nil)
	r.command("d1", "c1", "x")
	p.receive().Ack()
	p.Disconnect(10)

	p = r.connect("d1", func(o *paho.ClientOptions) { o.SetCleanSession(true) })
	p.Disconnect(10)
	p = r.connect("d1", nil) // the session was thrown away
	r.command("d1", "c2", "x")
	p.send("", "a round trip")
	if len(p.got) > 0 || r.states("d1")["c2"] != stateQueued {
		t.Error("a command came without a subscription")
	}
	p.subscribe()
	p.receive().Ack()
	if token := p.Unsubscribe("devices/d1/messages/devicebound/#"); !token.WaitTimeout(patience) {
		t.Fatal("no UNSUBACK")
	}
	r.command("d1", "c3", "x")
	p.send("", "a round trip")
	if len(p.got) > 0 {
		t.Error("a command came after the end of the subscription")
	}
}

func TestKeepAlive(t *testing.T) {
	r := startRig(t)
	conn := r.rawDial()
	if _, err := conn.Write(r.rawConnect("d1", 1)); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if got := readAll(conn); got != "\x20\x02\x00\x00" {
		t.Errorf("got %q", got)
	}
	if d := time.Since(started); d < 900*time.Millisecond {
		t.Errorf("closed after %v, want 1.5 s at least", d)
	}
	for seconds, want := range map[uint16]uint16{0: 1177, 60: 60, 1177: 1177, 65535: 1177} {
		if got := keepAlive(seconds); got != want {
			t.Errorf("keep-alive %d: %d, want %d", seconds, got, want)
		}
	}
}
