package hubsim

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRegistry(t *testing.T) {
	r := startRig(t)
	const query = "?api-version=2021-04-12"
	var d deviceJSON
	read := func(text string) {
		t.Helper()
		d = deviceJSON{}
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
	}
	read(r.must("PUT", "/devices/d3"+query, `{"deviceId":"d3","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""}}}`))
	if d.DeviceID != "d3" || d.Status != "enabled" || d.Connection != "Disconnected" || d.Authentication.Type != "sas" ||
		!validKey(string(d.Authentication.SymmetricKey.Primary)) || d.ETag == "" || d.GenerationID == "" {
		t.Errorf("created: %+v", d)
	}
	if status, text := r.call("PUT", "/devices/d3"+query, `{"deviceId":"d3"}`); status != 409 || !strings.Contains(text, "ErrorCode:DeviceAlreadyExists") {
		t.Errorf("created twice: %d %s", status, text)
	}
	p := r.connect("d3", nil)
	read(r.must("GET", "/devices/d3"+query, ""))
	if d.Connection != "Connected" {
		t.Errorf("connected: %+v", d)
	}
	key, etag := newKey(), d.ETag
	body := `{"deviceId":"d3","status":"disabled","statusReason":"lost","authentication":{"symmetricKey":{"primaryKey":"` + key + `"}}}`
	if status, _ := r.call("PUT", "/devices/d3"+query, body, "If-Match", `"other"`); status != 412 {
		t.Errorf("update of another version: %d, want 412", status)
	}
	read(r.must("PUT", "/devices/d3"+query, body, "If-Match", `"`+etag+`"`))
	if d.Status != "disabled" || *d.StatusReason != "lost" || string(d.Authentication.SymmetricKey.Primary) != key || d.ETag == etag {
		t.Errorf("updated: %+v", d)
	}
	p.awaitLoss()
	r.says("the device was disabled")
	for path, want := range map[string]int{"/devices/" + query: 3, "/devices" + query: 3} {
		var list []deviceJSON
		if err := json.Unmarshal([]byte(r.must("GET", path, "")), &list); err != nil || len(list) != want || list[2].DeviceID != "d3" {
			t.Errorf("%s: %+v, %v", path, list, err)
		}
	}
	p = r.connect("d2", nil)
	r.must("DELETE", "/devices/d2"+query, "", "If-Match", `"*"`)
	p.awaitLoss()
	r.must("DELETE", "/devices/d3"+query, "")
	if status, text := r.call("GET", "/devices/d3"+query, ""); status != 404 || !strings.Contains(text, "ErrorCode:DeviceNotFound") {
		t.Errorf("deleted: %d %s", status, text)
	}
	if status, _ := r.call("POST", "/hubsim/devices/d1/disconnect", ""); status != 404 {
		t.Errorf("disconnect of a device that is not connected: %d, want 404", status)
	}
	for _, body := range []string{
		`{"deviceId":"d5"}`, `{`, `{"deviceId":"d4","status":"tired"}`, `{"deviceId":"d4","authentication":{"type":"selfSigned"}}`,
		`{"deviceId":"d4","authentication":{"symmetricKey":{"primaryKey":"short"}}}`,
	} {
		if status, text := r.call("PUT", "/devices/d4"+query, body); status != 400 {
			t.Errorf("%s: %d %s, want 400", body, status, text)
		}
	}
}

func TestServiceTokens(t *testing.T) {
	r := startRig(t)
	soon := time.Now().Add(time.Hour)
	keys := r.secrets.Policies
	for name, c := range map[string]struct {
		remote, token string
		want          right
		allowed       bool
	}{
		"this machine":         {"127.0.0.1:999", "", registryWrite, true},
		"this machine, IPv6":   {"[::1]:999", "", serviceConnect, true},
		"another machine":      {"192.0.2.1:999", "", serviceConnect, false},
		"owner":                {"192.0.2.1:999", sas("localhost", keys["iothubowner"], "iothubowner", soon), registryWrite, true},
		"service":              {"192.0.2.1:999", sas("LOCALHOST", keys["service"], "service", soon), serviceConnect, true},
		"one device only":      {"192.0.2.1:999", sas("localhost%2fdevices%2fd1", keys["service"], "service", soon), serviceConnect, true},
		"a longer name":        {"192.0.2.1:999", sas("localhost%2fdevices%2fd", keys["service"], "service", soon), serviceConnect, false},
		"too few rights":       {"192.0.2.1:999", sas("localhost", keys["service"], "service", soon), registryRead, false},
		"reader":               {"192.0.2.1:999", sas("localhost", keys["registryRead"], "registryRead", soon), registryWrite, false},
		"wrong even from here": {"127.0.0.1:999", sas("localhost", keys["device"], "iothubowner", soon), serviceConnect, false},
		"expired":              {"192.0.2.1:999", sas("localhost", keys["iothubowner"], "iothubowner", time.Now()), serviceConnect, false},
		"a device's token":     {"192.0.2.1:999", r.deviceToken("d1"), serviceConnect, false},
		"nonsense":             {"192.0.2.1:999", "Bearer x", serviceConnect, false},
	} {
		req := httptest.NewRequest("GET", "https://localhost/devices/d1", nil)
		req.RemoteAddr = c.remote
		if c.token != "" {
			req.Header.Set("Authorization", c.token)
		}
		if err := r.allow(req, c.want); (err == nil) != c.allowed {
			t.Errorf("%s: error %v, want allowed %v", name, err, c.allowed)
		}
	}
	if status, text := r.call("GET", "/hubsim/audit", "", "Authorization", "x"); status != 401 || !strings.Contains(text, `"Message":"ErrorCode:IotHubUnauthorizedAccess;`) {
		t.Errorf("over the wire: %d %s", status, text)
	}
	if status, _ := r.call("POST", "/hubsim/faults", `{"kind":"drop-puback"}`, "Origin", "https://example.com"); status != 403 {
		t.Errorf("from the page of another site: %d, want 403", status)
	}
}

func TestPage(t *testing.T) {
	r := startRig(t)
	if text := r.must("GET", "/", ""); !strings.Contains(text, "<!doctype html>") || strings.Contains(text, "http://") || strings.Contains(text, "https://") {
		t.Error("no page, or one with assets from elsewhere")
	}
	for path, want := range map[string]int{"/nothing": 404, "/hubsim/faults/x": 404} {
		if status, _ := r.call("GET", path, ""); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}
