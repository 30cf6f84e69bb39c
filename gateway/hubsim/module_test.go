package hubsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// asModule signs in as a module of a device.
func (r *rig) asModule(device, module string) func(*paho.ClientOptions) {
	id := device + "/" + module
	return func(o *paho.ClientOptions) {
		o.SetClientID(id).SetUsername("localhost/" + id + "/?api-version=2021-04-12").
			SetPassword(sas("localhost%2Fdevices%2F"+device+"%2Fmodules%2F"+module, r.key(id), "", time.Now().Add(time.Hour)))
	}
}

func TestModule(t *testing.T) {
	r := startRig(t)
	made := object(t, r.must("PUT", "/devices/d1/modules/m1"+apiVersion, `{"deviceId":"d1","moduleId":"m1"}`))
	if made["moduleId"] != "m1" || made["deviceId"] != "d1" || made["etag"] == "" {
		t.Errorf("made %v", made)
	}
	device := r.connect("d1", nil)
	p := r.connect("d1", r.asModule("d1", "m1")) // beside its device
	if token := p.Publish("devices/d1/modules/m1/messages/events/a=b", 1, false, "x"); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	device.send("", "from the device")
	if list := r.events("device=d1%2Fm1"); len(list) != 1 || list[0].System["iothub-connection-module-id"] != "m1" || list[0].System["iothub-connection-device-id"] != "d1" {
		t.Errorf("recorded %+v", list)
	}
	p.follows()
	p.ask("PATCH/properties/reported/?$rid=1", `{"a":1}`)
	r.must("PATCH", "/twins/d1/modules/m1"+apiVersion, `{"properties":{"desired":{"b":2}}}`)
	if m := p.receive(); m.Topic() != twinDesired+"?$version=2" {
		t.Errorf("got %s", m.Topic())
	}
	twin := object(t, r.must("GET", "/twins/d1/modules/m1"+apiVersion, ""))
	if twin["moduleId"] != "m1" || !strings.Contains(text(twin), `"a":1`) || strings.Contains(text(r.twin("d1")), `"a":1`) {
		t.Errorf("twin %s", text(twin))
	}
	p.serve(func(name, _ string) (string, string) { return "200", `"` + name + `"` })
	if got := r.must("POST", "/twins/d1/modules/m1/methods"+apiVersion, `{"methodName":"up"}`); !strings.Contains(got, `"up"`) {
		t.Errorf("method: %s", got)
	}
	if answer := r.must("POST", "/devices/query"+apiVersion, `{"query":"SELECT * FROM devices.modules WHERE deviceId = 'd1'"}`); !strings.Contains(answer, `"moduleId":"m1"`) {
		t.Errorf("query: %s", answer)
	}
	if answer := r.must("GET", "/devices"+apiVersion, ""); strings.Contains(answer, `"m1"`) {
		t.Errorf("a module among the devices: %s", answer)
	}
	if answer := r.must("GET", "/devices/d1/modules"+apiVersion, ""); !strings.Contains(answer, `"m1"`) {
		t.Errorf("modules: %s", answer)
	}
	for path, want := range map[string]int{
		"/devices/d1/modules/m2": 404, "/devices/d9/modules": 404, "/devices/d1%2Fm1": 404, "/twins/d1%2Fm1": 404,
	} {
		if status, _ := r.call("GET", path+apiVersion, ""); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	token, ok := p.Subscribe("devices/d1/m1/messages/devicebound/#", 1, nil).(*paho.SubscribeToken)
	if !ok || !token.WaitTimeout(patience) || token.Result()["devices/d1/m1/messages/devicebound/#"] != 0x80 {
		t.Errorf("commands for a module: %v", token.Result())
	}
	r = r.restart()
	p = r.connect("d1", r.asModule("d1", "m1"))
	p.Publish(p.topic(""), 1, false, "as its device")
	p.awaitLoss()
	p = r.connect("d1", r.asModule("d1", "m1"))
	r.must("PUT", "/devices/d1"+apiVersion, `{"deviceId":"d1","status":"disabled"}`, "If-Match", "*")
	p.awaitLoss()
	if _, err := r.dial("d1", r.asModule("d1", "m1")); err == nil {
		t.Error("a module of a disabled device is let in")
	}
	r.must("DELETE", "/devices/d1"+apiVersion, "")
	if _, ok := r.state.identity("d1/m1"); ok {
		t.Error("the module has outlived its device")
	}
	r.must("PUT", "/devices/d1"+apiVersion, `{"deviceId":"d1"}`)
	for i := range maxModules + 1 {
		status, _ := r.call("PUT", fmt.Sprintf("/devices/d1/modules/n%d%s", i, apiVersion), fmt.Sprintf(`{"deviceId":"d1","moduleId":"n%d"}`, i))
		if want := map[bool]int{true: 200, false: 403}[i < maxModules]; status != want {
			t.Errorf("module %d: %d, want %d", i, status, want)
		}
	}
	r.must("DELETE", "/devices/d1/modules/n0"+apiVersion, "")
	if status, _ := r.call("PUT", "/devices/d1/modules/x"+apiVersion, `{"deviceId":"d1","moduleId":"y"}`); status != 400 {
		t.Errorf("another name in the path: %d", status)
	}
}

func TestManyDevicesAtOnce(t *testing.T) {
	r := startRig(t)
	var result struct {
		OK     bool        `json:"isSuccessful"`
		Errors []bulkError `json:"errors"`
	}
	bulk := func(body string) {
		t.Helper()
		if err := json.Unmarshal([]byte(r.must("POST", "/devices"+apiVersion, body)), &result); err != nil {
			t.Fatal(err)
		}
	}
	bulk(`[{"id":"b1","importMode":"create"},{"id":"b2","importMode":"create","status":"disabled"}]`)
	if !result.OK || len(result.Errors) != 0 {
		t.Errorf("created: %+v", result)
	}
	bulk(`[{"id":"b1","importMode":"create"},{"id":"b9","importMode":"Update"},{"id":"b2","importMode":"DeleteIfMatchETag"},{"id":"b2","importMode":"Delete"},{"id":"b1","importMode":"?"}]`)
	if result.OK || len(result.Errors) != 4 || result.Errors[0].Code != "DeviceAlreadyExists" || result.Errors[1].Code != "DeviceNotFound" || result.Errors[2].Code != "PreconditionFailed" {
		t.Errorf("some fail: %+v", result)
	}
	if got := r.must("GET", "/statistics/devices"+apiVersion, ""); !strings.Contains(got, `"totalDeviceCount":3`) {
		t.Errorf("statistics: %s", got)
	}
	for _, bad := range []string{"{", "[]", "{}"} {
		if status, _ := r.call("POST", "/devices"+apiVersion, bad); status != 400 {
			t.Errorf("%s: %d", bad, status)
		}
	}
}

func TestEventsAreAwaited(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.send("", "old")
	got := make(chan string, 1)
	go func() { got <- r.must("GET", "/hubsim/events?after=1&wait=25", "") }()
	go func() { time.Sleep(10 * time.Millisecond); p.send("", "new") }() // mostly while it waits
	if text := await(t, got); !strings.Contains(text, `"new"`) || strings.Contains(text, `"old"`) {
		t.Errorf("got %s", text)
	}
	if text := r.must("GET", "/hubsim/events?after=2&wait=0", ""); text != "" {
		t.Errorf("got %s", text)
	}
	if text := r.must("GET", "/hubsim/events?after=2&device=d2&wait=1", ""); text != "" {
		t.Errorf("got %s", text)
	}
	if status, _ := r.call("GET", "/hubsim/events?wait=61", ""); status != 400 {
		t.Errorf("too long: %d", status)
	}
}
