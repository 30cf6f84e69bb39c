//go:build wide

package systemtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// startDevice starts Azure's device SDK and connects it as the hub's device gw.
func startDevice(t *testing.T) (*hub, *sdk) {
	t.Helper()
	h := startHub(t, t.TempDir())
	d := startSDK(t, h, "device.js")
	d.do(t, nil, "connect", "connectionString", h.device(t, "gw"), "commands", true)
	return h, d
}

// awkward are names and values of properties that only come through if both
// sides encode them alike.
var awkward = map[string]string{
	"plain": "v", "sp ace": "a b", "plus": "1+1", "percent": "100%25", "slash": "a/b#c?d",
	"amp&=": "x&y=z", "grün": "Übergröße ✓ 🌡", "empty": "",
}

// TestNodeDeviceSends: what Azure's device SDK sends is recorded as it was
// given to it, bodies and properties to the last byte.
func TestNodeDeviceSends(t *testing.T) {
	h, d := startDevice(t)
	system := map[string]string{
		"messageId": "m-1", "correlationId": "c 1/ü", "userId": "me", "contentType": "application/json", "contentEncoding": "utf-8",
	}
	body := `{"text":"grün ✓ 🌡","n":1}`
	d.do(t, nil, "send", "body", body, "system", system, "properties", awkward)
	d.do(t, nil, "send", "body", "plain text")
	large := strings.Repeat("x", 255<<10)
	d.do(t, nil, "send", "body", large)
	if _, err := d.try(t, "send", "body", strings.Repeat("x", 300<<10)); err == nil {
		t.Error("the SDK sent 300 KiB")
	}
	events := h.events(t)
	if len(events) != 3 {
		t.Fatalf("%d messages arrived, want 3", len(events))
	}
	first := events[0]
	for name, want := range map[string]string{
		"message-id": "m-1", "correlation-id": "c 1/ü", "user-id": "me", "content-type": "application/json",
		"content-encoding": "utf-8", "iothub-connection-device-id": "gw",
	} {
		if got := first.System[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range awkward {
		if got, ok := first.Properties[name]; got != want || !ok {
			t.Errorf("property %q is %q, want %q", name, got, want)
		}
	}
	if len(first.Properties) != len(awkward) {
		t.Errorf("properties %q", first.Properties)
	}
	for i, want := range []string{body, `"plain text"`, `"` + large + `"`} {
		if got := string(events[i].Body); got != want {
			t.Errorf("body %d is %.60s (%d bytes), want %.60s (%d)", i, got, len(got), want, len(want))
		}
	}
}

// TestNodeDeviceGetsCommands: commands reach Azure's device SDK, those that
// waited while it was away too, and count as completed once it has them.
func TestNodeDeviceGetsCommands(t *testing.T) {
	h, d := startDevice(t)
	header := map[string]string{"iothub-messageid": "c-1", "iothub-correlationid": "k 1", "iothub-app-mode": "a+b%c&d"}
	if err := h.post("/devices/gw/messages/devicebound?api-version=2021-04-12", "grün ✓", header); err != nil {
		t.Fatal(err)
	}
	c := d.await(t, "command")
	if c.ID != "c-1" || c.Correlation != "k 1" || c.Body != "grün ✓" || c.property("mode") != "a+b%c&d" {
		t.Errorf("got %+v", c)
	}
	if done := d.await(t, "completed"); done.Failed != "" {
		t.Errorf("complete: %+v", done)
	}
	h.awaitCommands(t, "gw", "completed", 1)

	d.do(t, nil, "close")
	for i := range 3 {
		if err := h.sendC2D("gw", fmt.Sprint("away-", i), "{}"); err != nil {
			t.Fatal(err)
		}
	}
	d.do(t, nil, "connect", "connectionString", h.device(t, "gw"), "commands", true)
	for i := range 3 {
		if c := d.await(t, "command"); c.ID != fmt.Sprint("away-", i) {
			t.Errorf("command %d is %+v", i, c)
		}
	}
	h.awaitCommands(t, "gw", "completed", 4)
}

// property finds a property of a command: HTTP has no case in header names.
func (l sdkLine) property(name string) string {
	for k, v := range l.Properties {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// awaitCommands waits until so many commands of a device are in a state.
func (h *hub) awaitCommands(t *testing.T, device, state string, n int) {
	t.Helper()
	eventually(t, sdkTime, func() error {
		list, err := h.get("/hubsim/commands?device=" + device)
		if err == nil && strings.Count(list, `"state":"`+state+`"`) != n {
			err = fmt.Errorf("want %d %s commands: %s", n, state, list)
		}
		return err
	})
}

// TestNodeDeviceComesBack: the SDK, which resubscribes to little, finds its
// session after the hub has cut it off and after the hub has crashed.
func TestNodeDeviceComesBack(t *testing.T) {
	h, d := startDevice(t)
	d.do(t, nil, "send", "body", "0")
	for round, breakIt := range []func() error{
		func() error { return h.post("/hubsim/devices/gw/disconnect", "", nil) },
		func() error { h.process.kill(); h.restart(t); return nil },
	} {
		if err := breakIt(); err != nil {
			t.Fatal(err)
		}
		d.do(t, nil, "send", "body", fmt.Sprint(round+1))
		id := fmt.Sprint("c-", round)
		if err := h.sendC2D("gw", id, "{}"); err != nil {
			t.Fatal(err)
		}
		if c := d.await(t, "command"); c.ID != id {
			t.Errorf("round %d: command %+v, want %s", round, c, id)
		}
		h.awaitCommands(t, "gw", "completed", round+1) // else it comes again
	}
	var bodies []string
	for _, e := range h.events(t) {
		bodies = append(bodies, string(e.Body))
	}
	if got := strings.Join(bodies, " "); got != `"0" "1" "2"` {
		t.Errorf("arrived %s", got)
	}
}

// TestNodeDeviceOverWebSocket: the same MQTT where only port 443 gets out.
func TestNodeDeviceOverWebSocket(t *testing.T) {
	h := startHub(t, t.TempDir())
	d := startSDK(t, h, "device.js")
	name, _, _ := strings.Cut(h.device(t, "gw"), ":") // the port is for MQTT
	_, rest, _ := strings.Cut(h.device(t, "gw"), ";")
	d.do(t, nil, "connect", "connectionString", name+";"+rest, "webSocketPort", h.httpsPort(t), "commands", true)
	d.do(t, nil, "send", "body", "hello", "properties", awkward)
	if err := h.sendC2D("gw", "c-1", "{}"); err != nil {
		t.Fatal(err)
	}
	if c := d.await(t, "command"); c.ID != "c-1" {
		t.Errorf("command %+v", c)
	}
	if e := h.events(t); len(e) != 1 || e[0].Properties["plus"] != "1+1" {
		t.Errorf("arrived %+v", e)
	}
}

// TestNodeDeviceProvisions: a board that knows only the provisioning service
// and a key gets its hub, connects there, and gets the same again.
func TestNodeDeviceProvisions(t *testing.T) {
	h := startHub(t, t.TempDir())
	d := startSDK(t, h, "device.js")
	const board = "board-7"
	key := h.groupKey(t, board)
	place := []any{"endpoint", h.info.DPS.Endpoint, "scope", h.info.DPS.IDScope, "registration", board, "key"}
	for range 2 {
		var a struct{ AssignedHub, DeviceID string }
		d.do(t, &a, "register", append(place, key)...)
		if a.DeviceID != board || a.AssignedHub != h.info.DPS.Endpoint {
			t.Fatalf("assigned %+v, want %s at %s", a, board, h.info.DPS.Endpoint)
		}
		d.do(t, nil, "connect", "connectionString", fmt.Sprintf("HostName=%s;DeviceId=%s;SharedAccessKey=%s", a.AssignedHub, a.DeviceID, key))
		d.do(t, nil, "send", "body", "hello")
		d.do(t, nil, "close")
	}
	if events := h.events(t); len(events) != 2 || events[0].System["iothub-connection-device-id"] != board {
		t.Errorf("arrived %+v", events)
	}
	wrong := base64.StdEncoding.EncodeToString([]byte("not the key of this board, surely"))
	if a, err := d.try(t, "register", append(place, wrong)...); err == nil {
		t.Errorf("a wrong key was assigned %s", a)
	}
}

// TestNodeDeviceProvisionsWithCertificate: the same for a board that has a
// certificate of its own, which the service was told of.
func TestNodeDeviceProvisionsWithCertificate(t *testing.T) {
	h := startHub(t, t.TempDir())
	d := startSDK(t, h, "device.js")
	cert, key, _ := deviceCertificate(t, "meter-2")
	enrollment, err := json.Marshal(map[string]any{
		"registrationId": "meter-2",
		"attestation": map[string]any{"type": "x509", "x509": map[string]any{
			"clientCertificates": map[string]any{"primary": map[string]string{"certificate": cert}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.request(http.MethodPut, "/enrollments/meter-2?api-version=2021-10-01", string(enrollment), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	certificate := map[string]string{"cert": cert, "key": key}
	var a struct{ AssignedHub, DeviceID string }
	d.do(t, &a, "register", "endpoint", h.info.DPS.Endpoint, "scope", h.info.DPS.IDScope, "registration", "meter-2", "certificate", certificate)
	if a.DeviceID != "meter-2" || a.AssignedHub != h.info.DPS.Endpoint {
		t.Fatalf("assigned %+v", a)
	}
	d.do(t, nil, "connect", "connectionString", "HostName="+a.AssignedHub+";DeviceId=meter-2;x509=true", "certificate", certificate)
	d.do(t, nil, "send", "body", "hello")
	if e := h.events(t); len(e) != 1 || e[0].System["iothub-connection-device-id"] != "meter-2" {
		t.Errorf("arrived %+v", e)
	}
}

// TestNodeDeviceRefused: a wrong key is refused in words that the SDK takes for
// what they are, and does not try again.
func TestNodeDeviceRefused(t *testing.T) {
	h := startHub(t, t.TempDir())
	d := startSDK(t, h, "device.js")
	before, _, _ := strings.Cut(h.device(t, "gw"), "SharedAccessKey=")
	_, err := d.try(t, "connect", "connectionString", before+"SharedAccessKey=bm90IHRoZSBrZXkgb2YgdGhpcyBkZXZpY2U=")
	if err == nil || !strings.Contains(err.Error(), "Unauthorized") {
		t.Errorf("a wrong key: error %v, want Unauthorized", err)
	}
}

// TestNodeDeviceWithCertificate: a device that shows a certificate, and has no
// key that the hub knows, is let in by its thumbprint.
func TestNodeDeviceWithCertificate(t *testing.T) {
	h := startHub(t, t.TempDir())
	s := startService(t, h)
	d := startSDK(t, h, "device.js")
	cert, key, thumbprint := deviceCertificate(t, "meter-1")
	s.do(t, nil, "createDevice", "device", "meter-1", "authentication", map[string]any{
		"type": "selfSigned", "x509Thumbprint": map[string]any{"primaryThumbprint": thumbprint},
	})
	place := "HostName=" + h.info.DPS.Endpoint + ";DeviceId=meter-1;x509=true"
	d.do(t, nil, "connect", "connectionString", place, "certificate", map[string]string{"cert": cert, "key": key})
	d.do(t, nil, "send", "body", "hello")
	if e := h.events(t); len(e) != 1 || e[0].System["iothub-connection-device-id"] != "meter-1" {
		t.Errorf("arrived %+v", e)
	}
	d.do(t, nil, "close")
	cert, key, _ = deviceCertificate(t, "meter-1")
	wantError(t, d, "UnauthorizedError", "connect", "connectionString", place, "certificate", map[string]string{"cert": cert, "key": key})
}

// TestNodeDeviceUploads: a file of more than one block arrives whole.
func TestNodeDeviceUploads(t *testing.T) {
	const size = 9 << 20
	h := startHub(t, t.TempDir())
	d := startSDK(t, h, "device.js")
	port := strings.TrimPrefix(h.info.DPS.Endpoint, "localhost")
	place := strings.Replace(h.device(t, "gw"), port, "", 1) // the SDK takes no port for HTTPS there
	d.do(t, nil, "connect", "connectionString", place+";GatewayHostName=localhost"+port)
	d.do(t, nil, "upload", "name", "logs/day 1.log", "size", size, "port", h.httpsPort(t))
	uploads, err := h.get("/hubsim/uploads")
	if err != nil || strings.Count(uploads, "day 1.log") != 1 {
		t.Fatalf("uploads %s, %v", uploads, err)
	}
	blob, err := h.get("/hubsim/blobs/gw/logs/day%201.log")
	want := strings.Repeat("fieldpost ", size/10+1)[:size]
	if err != nil || blob != want {
		t.Errorf("%d bytes have arrived, %v, want %d; uploads: %s", len(blob), err, size, uploads)
	}
}
