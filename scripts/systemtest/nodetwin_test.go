//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// twin is a device twin as the SDKs show it.
type twin struct {
	ETag       string
	Tags       map[string]any
	Desired    map[string]any // of the device SDK
	Reported   map[string]any
	Properties struct { // of the service SDK
		Desired, Reported map[string]any
	}
}

// TestNodeTwin: what Azure's service SDK desires, Azure's device SDK is told, and
// the other way round.
func TestNodeTwin(t *testing.T) {
	h, d := startDevice(t)
	s := startService(t, h)
	var now twin
	s.do(t, &now, "patchTwin", "device", "gw", "etag", "*", "patch", map[string]any{
		"tags":       map[string]any{"site": "north"},
		"properties": map[string]any{"desired": map[string]any{"every": 10, "deep": map[string]any{"grün": "✓"}}},
	})
	if now.Tags["site"] != "north" || now.Properties.Desired["every"] != 10.0 || now.ETag == "" {
		t.Errorf("patched to %+v", now)
	}
	wantError(t, s, "InvalidEtagError", "patchTwin", "device", "gw", "etag", "AAAAAAAAAAA=", "patch", map[string]any{})

	var own twin
	d.do(t, &own, "readTwin")
	if own.Desired["every"] != 10.0 || own.Desired["$version"] != 2.0 || fmt.Sprint(own.Desired["deep"]) != "map[grün:✓]" {
		t.Errorf("the device reads %+v", own)
	}
	d.do(t, nil, "watchTwin")
	d.await(t, "desired") // the SDK says at once what there is
	s.do(t, nil, "patchTwin", "device", "gw", "etag", "*", "patch", json.RawMessage(`{"properties":{"desired":{"every":20,"deep":null}}}`))
	if e := d.await(t, "desired"); !sameJSON(t, e.Patch, []byte(`{"every":20,"deep":null,"$version":3}`)) {
		t.Errorf("the device is told %s", e.Patch)
	}

	d.do(t, nil, "report", "patch", map[string]any{"state": "on", "load": 0.5, "list": []any{1, "a"}})
	d.do(t, nil, "report", "patch", map[string]any{"load": nil})
	s.do(t, &now, "getTwin", "device", "gw")
	reported := now.Properties.Reported
	if reported["state"] != "on" || reported["load"] != nil || reported["$version"] != 3.0 || fmt.Sprint(reported["list"]) != "[1 a]" {
		t.Errorf("the service reads %+v", reported)
	}
	for what, patch := range map[string]any{
		"a number too large": map[string]any{"n": 1 << 60},
		"a long value":       map[string]any{"s": strings.Repeat("x", 5000)},
		"too much":           tooMuch(),
	} {
		if _, err := d.try(t, "report", "patch", patch); err == nil {
			t.Errorf("%s was reported", what)
		}
	}
	d.do(t, nil, "report", "patch", map[string]any{"state": "off"}) // the link is sound
}

// tooMuch is more than the 32 KiB that a device may report.
func tooMuch() map[string]any {
	patch := map[string]any{}
	for i := range 20 {
		patch[fmt.Sprint("k", i)] = strings.Repeat("x", 2000)
	}
	return patch
}

// TestNodeTwinComesBack: the SDK subscribes to its twin once in its life, and
// hears of changes after a cut all the same.
func TestNodeTwinComesBack(t *testing.T) {
	h, d := startDevice(t)
	s := startService(t, h)
	d.do(t, nil, "readTwin")
	d.do(t, nil, "watchTwin")
	d.await(t, "desired")
	for i, breakIt := range []func() error{
		func() error { return h.post("/hubsim/devices/gw/disconnect", "", nil) },
		func() error { h.process.kill(); h.restart(t); return nil },
	} {
		if err := breakIt(); err != nil {
			t.Fatal(err)
		}
		d.do(t, nil, "send", "body", "back")
		s.do(t, nil, "patchTwin", "device", "gw", "etag", "*", "patch", json.RawMessage(fmt.Sprintf(`{"properties":{"desired":{"n":%d}}}`, i)))
		if e := d.await(t, "desired"); !strings.Contains(string(e.Patch), fmt.Sprintf(`"n":%d`, i)) {
			t.Errorf("the device is told %s", e.Patch)
		}
		d.do(t, nil, "report", "patch", map[string]any{"n": i})
	}
	var now twin
	s.do(t, &now, "getTwin", "device", "gw")
	if now.Properties.Reported["n"] != 1.0 || now.Properties.Desired["n"] != 1.0 {
		t.Errorf("the service reads %+v", now)
	}
}

// TestNodeServiceQueries: the service SDK finds devices by tags and properties,
// page by page.
func TestNodeServiceQueries(t *testing.T) {
	h := startHub(t, t.TempDir())
	s := startService(t, h)
	for i := range 5 {
		id := fmt.Sprint("pump-", i)
		s.do(t, nil, "createDevice", "device", id)
		s.do(t, nil, "patchTwin", "device", id, "etag", "*", "patch", map[string]any{"tags": map[string]any{"even": i%2 == 0}})
	}
	for sql, want := range map[string][]string{
		"SELECT * FROM devices":                        {"gw", "pump-0", "pump-1", "pump-2", "pump-3", "pump-4"},
		"SELECT * FROM devices WHERE tags.even = true": {"pump-0", "pump-2", "pump-4"},
		"SELECT * FROM devices WHERE deviceId = 'gw'":  {"gw"},
	} {
		var ids []string
		s.do(t, &ids, "query", "sql", sql, "pageSize", 2)
		if slices.Sort(ids); !slices.Equal(ids, want) {
			t.Errorf("%s: %v, want %v", sql, ids, want)
		}
	}
	wantError(t, s, "ArgumentError", "query", "sql", "DELETE FROM devices", "pageSize", 2)
}
