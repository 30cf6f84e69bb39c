//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// startService starts Azure's service SDK for the hub.
func startService(t *testing.T, h *hub) *sdk {
	t.Helper()
	s := startSDK(t, h, "service.js")
	s.do(t, nil, "connect", "connectionString", h.info.ServiceConnectionString, "port", h.httpsPort(t))
	return s
}

// methodResult is what a caller of a direct method gets.
type methodResult struct {
	Status  int
	Payload json.RawMessage
}

// TestNodeServiceManagesDevices: Azure's service SDK creates, lists, disables
// and deletes devices.
func TestNodeServiceManagesDevices(t *testing.T) {
	h := startHub(t, t.TempDir())
	s := startService(t, h)
	var device struct {
		DeviceID       string `json:"deviceId"`
		Status         string
		Authentication struct{ SymmetricKey struct{ PrimaryKey string } }
	}
	s.do(t, &device, "createDevice", "device", "pump-1")
	key := device.Authentication.SymmetricKey.PrimaryKey
	if device.DeviceID != "pump-1" || device.Status != "enabled" || key == "" {
		t.Errorf("created %+v", device)
	}
	wantError(t, s, "DeviceAlreadyExistsError", "createDevice", "device", "pump-1")
	var ids []string
	s.do(t, &ids, "listDevices")
	if slices.Sort(ids); !slices.Equal(ids, []string{"gw", "pump-1"}) {
		t.Errorf("there are %v", ids)
	}
	d := startSDK(t, h, "device.js")
	place := "HostName=" + h.info.DPS.Endpoint + ";DeviceId=pump-1;SharedAccessKey=" + key
	d.do(t, nil, "connect", "connectionString", place)
	s.do(t, &device, "setStatus", "device", "pump-1", "status", "disabled")
	if device.Status != "disabled" {
		t.Errorf("updated %+v", device)
	}
	d.do(t, nil, "close")
	wantError(t, d, "UnauthorizedError", "connect", "connectionString", place)
	s.do(t, nil, "deleteDevice", "device", "pump-1")
	wantError(t, s, "DeviceNotFoundError", "getDevice", "device", "pump-1")
}

// notOnline is what the SDK makes of the hub's answer for a device that is not
// connected, or has no methods.
const notOnline = "Error: Not found"

// TestNodeServiceManagesMany: many devices with one request, and how many there
// are.
func TestNodeServiceManagesMany(t *testing.T) {
	h := startHub(t, t.TempDir())
	s := startService(t, h)
	devices := []string{"a", "b", "c"}
	var result struct{ IsSuccessful bool }
	var statistics struct{ TotalDeviceCount, EnabledDeviceCount int }
	for _, step := range []struct {
		order string
		total int
	}{{"createDevices", 4}, {"deleteDevices", 1}} {
		s.do(t, &result, step.order, "devices", devices)
		s.do(t, &statistics, "statistics")
		if !result.IsSuccessful || statistics.TotalDeviceCount != step.total || statistics.EnabledDeviceCount != step.total {
			t.Errorf("%s: %+v, then %+v, want %d", step.order, result, statistics, step.total)
		}
	}
}

// TestNodeModule: a module of a device connects with its own key, beside the
// device, sends, answers methods and has a twin of its own.
func TestNodeModule(t *testing.T) {
	h, d := startDevice(t)
	s := startService(t, h)
	var module struct {
		Authentication struct{ SymmetricKey struct{ PrimaryKey string } }
	}
	s.do(t, &module, "createModule", "device", "gw", "module", "meter")
	m := startSDK(t, h, "device.js")
	m.do(t, nil, "connect", "connectionString", fmt.Sprintf("HostName=%s;DeviceId=gw;ModuleId=meter;SharedAccessKey=%s",
		h.info.DPS.Endpoint, module.Authentication.SymmetricKey.PrimaryKey))
	m.do(t, nil, "send", "body", "of the module")
	d.do(t, nil, "send", "body", "of the device")
	events := h.events(t)
	if len(events) != 2 || events[0].System["iothub-connection-module-id"] != "meter" || events[1].System["iothub-connection-module-id"] != "" {
		t.Errorf("arrived %+v", events)
	}
	m.do(t, nil, "method", "name", "echo", "status", 201)
	var r methodResult
	s.do(t, &r, "call", "device", "gw", "module", "meter", "name", "echo", "payload", 1)
	if r.Status != 201 {
		t.Errorf("answered %+v", r)
	}
	wantError(t, s, notOnline, "call", "device", "gw", "name", "echo") // the device has no methods
	m.do(t, nil, "readTwin")
	m.do(t, nil, "report", "patch", map[string]any{"n": 1})
	var now twin
	s.do(t, &now, "getTwin", "device", "gw", "module", "meter")
	if now.Properties.Reported["n"] != 1.0 {
		t.Errorf("the service reads %+v", now)
	}
	var ofDevice twin
	s.do(t, &ofDevice, "getTwin", "device", "gw")
	if n := ofDevice.Properties.Reported["n"]; n != nil {
		t.Errorf("the twin of the device has %v too", n)
	}
}

// wantError gives an order that must fail with this error of the SDK.
func wantError(t *testing.T, s *sdk, name, order string, facts ...any) {
	t.Helper()
	if answer, err := s.try(t, order, facts...); err == nil || !strings.HasPrefix(err.Error(), name) {
		t.Errorf("%s %v: answer %s, error %v, want %s", order, facts, answer, err, name)
	}
}

// TestNodeServiceCallsNodeDevice: a method of Azure's device SDK, called by
// Azure's service SDK.
func TestNodeServiceCallsNodeDevice(t *testing.T) {
	h, d := startDevice(t)
	s := startService(t, h)
	wantError(t, s, notOnline, "call", "device", "gw", "name", "echo") // it has no methods yet
	d.do(t, nil, "method", "name", "echo", "status", 207)
	for _, payload := range []any{map[string]any{"grün ✓": []any{1.5, true, nil}}, "text", nil} {
		var r methodResult
		s.do(t, &r, "call", "device", "gw", "name", "echo", "payload", payload)
		want, err := json.Marshal(map[string]any{"echo": payload})
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != 207 || !sameJSON(t, r.Payload, want) {
			t.Errorf("answered %d %s, want 207 %s", r.Status, r.Payload, want)
		}
		if e := d.await(t, "method"); e.Name != "echo" {
			t.Errorf("got %+v", e)
		}
	}
	wantError(t, s, "DeviceNotFoundError", "call", "device", "nobody", "name", "echo")

	// The SDK subscribes to methods again after a cut, when it is next used.
	if err := h.post("/hubsim/devices/gw/disconnect", "", nil); err != nil {
		t.Fatal(err)
	}
	d.do(t, nil, "send", "body", "back")
	var r methodResult
	s.do(t, &r, "call", "device", "gw", "name", "echo", "payload", 1)
	if r.Status != 207 {
		t.Errorf("answered %+v", r)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}

// TestNodeServiceCallsGateway: direct methods reach the devices behind the
// gateway and are answered with what came of them, to Azure's service SDK.
func TestNodeServiceCallsGateway(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	s := startService(t, h)
	wantError(t, s, notOnline, "call", "device", "gw", "name", "bench.relay") // not connected
	g := newGateway(t, dir, h)
	g.awaitConnected(t)
	for _, c := range []struct {
		method  string
		payload any
		status  int
		want    string
	}{
		{"bench.relay", map[string]any{"on": true}, 200, `"done"`},
		{"bench.pulse", map[string]any{"ms": 5}, 200, `"done"`},
		{"bench.relay", map[string]any{"on": "maybe"}, 403, "want bool"},
		{"bench.relay", nil, 403, "on: missing"},
		{"bench.relay", []any{1}, 400, "denied"},
		{"bench.explode", nil, 404, "explode"},
		{"nobody.relay", nil, 404, "nobody"},
		{"reboot", nil, 404, "{device}.{action}"},
	} {
		var r methodResult
		s.do(t, &r, "call", "device", "gw", "name", c.method, "payload", c.payload)
		if r.Status != c.status || !strings.Contains(string(r.Payload), c.want) {
			t.Errorf("%s %v: answered %d %s, want %d with %s", c.method, c.payload, r.Status, r.Payload, c.status, c.want)
		}
	}
	pulses := 0
	for _, n := range actuations(t, dir) {
		pulses += n
	}
	if pulses != 1 {
		t.Errorf("%d pulses were carried out, want 1", pulses)
	}
	g.process.kill()
	wantError(t, s, notOnline, "call", "device", "gw", "name", "bench.relay")
	g.start(t)
	g.awaitConnected(t)
	var r methodResult
	s.do(t, &r, "call", "device", "gw", "name", "bench.relay", "payload", map[string]any{"on": false})
	if r.Status != 200 {
		t.Errorf("after a restart: answered %+v", r)
	}
}

// gatewayTwin is what the gateway reports, as the service SDK reads it.
type gatewayTwin struct {
	Properties struct {
		Reported struct {
			Gateway struct{ ID, Version string }
			Devices map[string]struct{ State, Every string }
			// Settings is the verdict on the desired properties.
			Settings struct {
				Version   int64
				Status    string
				Errors    []string
				Probation bool
			}
		}
	}
}

// awaitTwin waits until the reported properties are as wanted.
func (s *sdk) awaitTwin(t *testing.T, wanted func(gatewayTwin) bool) gatewayTwin {
	t.Helper()
	var now gatewayTwin
	eventually(t, 2*sdkTime, func() error {
		now = gatewayTwin{}
		s.do(t, &now, "getTwin", "device", "gw")
		if !wanted(now) {
			return fmt.Errorf("reported are %+v", now.Properties.Reported)
		}
		return nil
	})
	return now
}

// desire changes the desired properties of the gateway by Azure's service SDK.
func (s *sdk) desire(t *testing.T, patch string) {
	t.Helper()
	s.do(t, nil, "patchTwin", "device", "gw", "etag", "*", "patch", json.RawMessage(`{"properties":{"desired":`+patch+`}}`))
}

// TestNodeServiceSetsGateway: settings that Azure's service SDK desires are
// applied, also when they were sent while the gateway was away, and survive a
// restart; wrong ones are refused by name; the state of the devices is reported.
func TestNodeServiceSetsGateway(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	s := startService(t, h)
	s.desire(t, `{"settings":{"devices":{"bench":{"every":"5m"}}}}`) // nobody hears it
	g := newGateway(t, dir, h)
	every := func(device, want string) func(gatewayTwin) bool {
		return func(now gatewayTwin) bool { return now.Properties.Reported.Devices[device].Every == want }
	}
	verdict := func(status string, version int64) func(gatewayTwin) bool {
		return func(now gatewayTwin) bool {
			v := now.Properties.Reported.Settings
			return v.Status == status && v.Version == version
		}
	}
	now := s.awaitTwin(t, verdict("applied", 2)).Properties.Reported
	if now.Gateway.ID != "gw" || now.Gateway.Version == "" || len(now.Devices) != 3 {
		t.Errorf("reported are %+v", now)
	}
	s.awaitTwin(t, every("bench", "5m0s"))

	s.desire(t, `{"settings":{"devices":{"bench":{"every":"1s","evry":"2s"},"nobody":{"enabled":false}}}}`)
	now = s.awaitTwin(t, verdict("rejected", 3)).Properties.Reported
	if text := strings.Join(now.Settings.Errors, "\n"); !strings.Contains(text, "settings.devices.bench.evry: unknown") || !strings.Contains(text, "settings.devices.nobody: ") {
		t.Errorf("the verdict says %s", text)
	}
	s.awaitTwin(t, every("bench", "5m0s")) // nothing of it counts

	s.desire(t, `{"settings":{"devices":{"bench":{"every":"7m","evry":null},"board":{"enabled":false},"nobody":null}}}`)
	s.awaitTwin(t, verdict("applied", 4))
	s.awaitTwin(t, every("bench", "7m0s"))
	g.process.kill()
	h.process.kill() // they hold without the hub
	g.start(t)
	eventually(t, sdkTime, func() error {
		out, err := exec.Command(program(t, "fieldpost"), "devices", "--socket", g.socket()).CombinedOutput()
		if err != nil || !regexp.MustCompile(`(?m)^board +sysfs +disabled`).Match(out) {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	h.restart(t)
	g.awaitConnected(t)
	s.awaitTwin(t, func(now gatewayTwin) bool {
		return now.Properties.Reported.Devices["board"].State == "disabled" && verdict("applied", 4)(now)
	})
}
