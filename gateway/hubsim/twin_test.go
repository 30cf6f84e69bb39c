package hubsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// follows subscribes to all of the twin.
func (p *peer) follows() {
	p.t.Helper()
	p.follow(twinAnswers + "#")
	p.follow(twinDesired + "#")
}

// ask makes a request about the twin and returns topic and body of the answer.
func (p *peer) ask(topic, body string) (string, map[string]any) {
	p.t.Helper()
	p.say(twinRequests+topic, body)
	m := p.receive()
	answer, ok := strings.CutPrefix(m.Topic(), twinAnswers)
	if !ok {
		p.t.Fatalf("got %s %s", m.Topic(), m.Payload())
	}
	return answer, object(p.t, string(m.Payload()))
}

func object(t testing.TB, text string) (o map[string]any) {
	t.Helper()
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// text is JSON with sorted keys.
func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func (r *rig) twin(id string) map[string]any {
	r.t.Helper()
	return object(r.t, r.must("GET", "/twins/"+id+apiVersion, ""))
}

func TestTwinOfADevice(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.follows()
	if topic, body := p.ask("GET/?$rid=1", " "); topic != "200/?$rid=1" || text(body) != `{"desired":{"$version":1},"reported":{"$version":1}}` {
		t.Errorf("new: %s %s", topic, text(body))
	}
	if topic, body := p.ask("PATCH/properties/reported/?$rid=2a", `{"a":{"b":1,"c":"x"},"list":[1,{"z":2}],"gone":null}`); topic != "204/?$rid=2a&$version=2" || body != nil {
		t.Errorf("reported: %s %v", topic, body)
	}
	if topic, _ := p.ask("PATCH/properties/reported/?$rid=3&$version=2", `{"a":{"b":null,"d":4503599627370495}}`); topic != "204/?$rid=3&$version=3" {
		t.Errorf("reported: %s", topic)
	}
	if topic, body := p.ask("PATCH/properties/reported/?$version=2&$rid=4", `{"a":1}`); topic != "412/?$rid=4" || body["errorCode"] != 412001.0 {
		t.Errorf("reported, another version: %s %v", topic, body)
	}
	want := `{"desired":{"$version":1},"reported":{"$version":3,"a":{"c":"x","d":4503599627370495},"list":[1,{"z":2}]}}`
	if _, body := p.ask("GET/?$rid=5", ""); text(body) != want {
		t.Errorf("got %s", text(body))
	}
	etag := r.twin("d1")["etag"]
	if etag != "AAAAAAAAAAE=" {
		t.Errorf("etag %v after reports, want that of the beginning", etag)
	}
	r.must("PATCH", "/twins/d1"+apiVersion, `{"tags":{"site":"north"},"properties":{"desired":{"every":{"air":10},"off":null}}}`, "If-Match", `"AAAAAAAAAAE="`)
	m := p.receive()
	if m.Topic() != twinDesired+"?$version=2" || text(object(t, string(m.Payload()))) != `{"$version":2,"every":{"air":10},"off":null}` {
		t.Errorf("desired: %s %s", m.Topic(), m.Payload())
	}
	r.must("PATCH", "/twins/d1"+apiVersion, `{"tags":{"site":"south"}}`) // the device is not told
	r.must("PUT", "/twins/d1"+apiVersion, `{"properties":{"desired":{"$version":9,"$metadata":{},"new":true}}}`, "If-Match", `"*"`)
	if m := p.receive(); m.Topic() != twinDesired+"?$version=3" || text(object(t, string(m.Payload()))) != `{"$version":3,"new":true}` {
		t.Errorf("replaced: %s %s", m.Topic(), m.Payload())
	}
	if status, body := r.call("PATCH", "/twins/d1"+apiVersion, `{"tags":{}}`, "If-Match", `"AAAAAAAAAAE="`); status != 412 || !strings.Contains(body, "ErrorCode:PreconditionFailed") {
		t.Errorf("another version: %d %s", status, body)
	}
	before := r.twin("d1")
	if text(before["tags"]) != `{"site":"south"}` || before["version"] != 7.0 || before["connectionState"] != "Connected" || before["deviceId"] != "d1" {
		t.Errorf("twin %s", text(before))
	}
	r = r.restart()
	after := r.twin("d1")
	for _, key := range []string{"tags", "properties", "version", "etag", "deviceEtag"} {
		if text(after[key]) != text(before[key]) {
			t.Errorf("%s after a restart: %s, was %s", key, text(after[key]), text(before[key]))
		}
	}
	r = r.restart() // from the snapshot
	if text(r.twin("d1")["properties"]) != text(before["properties"]) {
		t.Errorf("after another restart: %s", text(r.twin("d1")))
	}
	r.must("DELETE", "/devices/d1"+apiVersion, "")
	r.must("PUT", "/devices/d1"+apiVersion, `{"deviceId":"d1"}`)
	if v := r.twin("d1")["version"]; v != 2.0 {
		t.Errorf("the twin of a device that was made anew has version %v", v)
	}
}

func TestMetadata(t *testing.T) {
	r := startRig(t)
	r.must("PATCH", "/twins/d1"+apiVersion, `{"properties":{"desired":{"a":{"b":1,"c":2},"d":3}}}`)
	time.Sleep(time.Millisecond) // the clock of the stamps
	r.must("PATCH", "/twins/d1"+apiVersion, `{"properties":{"desired":{"a":{"b":5,"c":null}}}}`)
	properties, _ := r.twin("d1")["properties"].(map[string]any)
	desired, _ := properties["desired"].(map[string]any)
	meta, _ := desired["$metadata"].(map[string]any)
	a, _ := meta["a"].(map[string]any)
	b, _ := a["b"].(map[string]any)
	d, _ := meta["d"].(map[string]any)
	for name, v := range map[string]map[string]any{"root": meta, "a": a, "b": b} {
		if v["$lastUpdatedVersion"] != 3.0 || v["$lastUpdated"] != meta["$lastUpdated"] {
			t.Errorf("%s: %v", name, v)
		}
	}
	if d["$lastUpdatedVersion"] != 2.0 || fmt.Sprint(d["$lastUpdated"]) >= fmt.Sprint(meta["$lastUpdated"]) || a["c"] != nil || desired["$version"] != 3.0 {
		t.Errorf("desired %s", text(desired))
	}
}

func TestTwinIsRefused(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.follows()
	deep := strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1)
	p.ask("PATCH/properties/reported/?$rid=0", deep)
	for body, want := range map[string]string{
		"":                               "JSON object",
		"[]":                             "JSON object",
		"null":                           "not null",
		"{} {}":                          "nothing behind",
		`{"$version":1}`:                 "$version",
		`{"$metadata":{}}`:               "$metadata",
		`{"a.b":1}`:                      "a.b",
		`{"a b":1}`:                      "a b",
		`{"":1}`:                         "empty",
		`{"a":{"\u0081":1}}`:             "control",
		`{"a":4503599627370496}`:         "4503599627370495",
		`{"a":-4503599627370497}`:        "-4503599627370496",
		`{"a":99999999999999999999}`:     "integer",
		`{"a":1e999}`:                    "too large",
		`{"a":[1,null]}`:                 "null",
		`{"a":` + deep + `}`:             "deeper",
		`{"a":[[[[[[[[[[[1]]]]]]]]]]]}`:  "deeper",
		`{"` + strings.Repeat("k", 1025): "JSON object",
		`{"` + strings.Repeat("k", 1025) + `":1}`:   "1025 bytes",
		`{"a":"` + strings.Repeat("v", 4097) + `"}`: "4097 bytes",
	} {
		topic, answer := p.ask("PATCH/properties/reported/?$rid=1", body)
		if message, _ := answer["message"].(string); topic != "400/?$rid=1" || answer["errorCode"] != 400004.0 || !strings.Contains(message, want) {
			t.Errorf("%.60s: %s %v, want 400 and %q", body, topic, answer, want)
		}
	}
	for i := range 8 {
		topic, answer := p.ask("PATCH/properties/reported/?$rid=1", fmt.Sprintf(`{"a":null,"k%d":%q}`, i, strings.Repeat("v", 4096)))
		if ok := strings.HasPrefix(topic, "204"); ok != (i < 7) { // the eighth has no room for its key
			t.Errorf("%d strings of 4 KB: %s %v", i+1, topic, answer)
		}
	}
	for body, want := range map[string]string{
		`{`:                                   "no twin",
		`{"tags":[]}`:                         "tags",
		`{"tags":{"a":{"$b":1}}}`:             "tags",
		`{"properties":{"desired":{"a.":1}}}`: "properties.desired",
		`{"tags":{"a":"` + strings.Repeat("v", 4096) + `","b":"` + strings.Repeat("v", 4096) + `"}}`: "8194 bytes of tags",
	} {
		if status, answer := r.call("PATCH", "/twins/d1"+apiVersion, body); status != 400 || !strings.Contains(answer, want) {
			t.Errorf("%.60s: %d %.200s, want 400 and %q", body, status, answer, want)
		}
	}
	if status, _ := r.call("GET", "/twins/d9"+apiVersion, ""); status != 404 {
		t.Errorf("unknown device: %d", status)
	}
	for _, topic := range []string{"GET/", "GET/?$rid=", "PUT/?$rid=1", "PATCH/properties/desired/?$rid=1", "PATCH/properties/reported/?$rid=1&$version=x"} {
		p := r.connect("d2", nil)
		p.say(twinRequests+topic, "{}")
		p.awaitLoss()
	}
}

func TestTwinNeedsAnAPIVersion(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", func(o *paho.ClientOptions) { o.SetUsername("localhost/d1") })
	p.follow(twinAnswers + "#")
	if topic, answer := p.ask("GET/?$rid=1", ""); topic != "400/?$rid=1" || answer["errorCode"] != 400004.0 {
		t.Errorf("got %s %v", topic, answer)
	}
}

func TestFaultsOfTwins(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.say(twinRequests+"GET/?$rid=0", "")
	r.says("nobody has subscribed to the answer")
	p.follows()
	r.fault(`{"kind":"throttle-twin"}`)
	if topic, answer := p.ask("GET/?$rid=1", ""); topic != "429/?$rid=1" || answer["errorCode"] != 429001.0 {
		t.Errorf("got %s %v", topic, answer)
	}
	r.fault(`{"kind":"drop-desired"}`)
	for i := range 2 {
		r.must("PATCH", "/twins/d1"+apiVersion, fmt.Sprintf(`{"properties":{"desired":{"n":%d}}}`, i))
	}
	if m := p.receive(); m.Topic() != twinDesired+"?$version=3" {
		t.Errorf("got %s, want the second change", m.Topic())
	}
}

func TestJournalStaysShort(t *testing.T) {
	r := startRig(t)
	big := strings.Repeat("x", 4000)
	for i := range 100 {
		r.must("PATCH", "/twins/d1"+apiVersion, fmt.Sprintf(`{"tags":{"n":%d,"big":"%s"}}`, i, big))
	}
	r.command("d1", "c1", "x")
	r.state.mu.Lock()
	r.state.longest = 0
	r.state.mu.Unlock()
	r.must("PATCH", "/twins/d1"+apiVersion, `{"tags":{"n":100}}`)
	r.state.mu.Lock()
	size := r.state.journal.size
	r.state.mu.Unlock()
	if size > 20_000 {
		t.Errorf("%d bytes of journal for two devices", size)
	}
	r.must("PATCH", "/twins/d2"+apiVersion, `{"tags":{"n":1}}`) // into the new file
	r = r.restart()
	one, two := r.twin("d1")["tags"], r.twin("d2")["tags"]
	if text(one) != `{"big":"`+big+`","n":100}` || text(two) != `{"n":1}` || r.states("d1")["c1"] != stateQueued {
		t.Errorf("after a restart: %.100s %s %v", text(one), text(two), r.states("d1"))
	}
}

func TestQuery(t *testing.T) {
	r := startRig(t)
	r.connect("d1", nil)
	r.must("PATCH", "/twins/d1"+apiVersion, `{"tags":{"site":"it's","n":3},"properties":{"desired":{"on":true,"deep":{"x":1.5}}}}`)
	r.must("PATCH", "/twins/d2"+apiVersion, `{"tags":{"site":"south","n":10}}`)
	for where, want := range map[string]string{
		"":                           "d1 d2",
		"WHERE tags.site = 'it\\'s'": "d1",
		`where TAGS.site = "south"`:  "",
		"WHERE tags.n > 3":           "d2",
		"WHERE tags.n >= 3 AND NOT tags.n = 10.0":              "d1",
		"WHERE tags.none = 1 OR tags.n <= 3":                   "d1",
		"WHERE NOT tags.none = 1":                              "", // neither
		"WHERE NOT is_defined(properties.desired.on)":          "d2",
		"WHERE devices.properties.desired.deep.x < 2":          "d1",
		"WHERE deviceId IN ['d2','d7'] OR (status='disabled')": "d2",
		"WHERE tags.site NIN ['south']":                        "d1",
		"WHERE connectionState = 'Connected'":                  "d1",
		"WHERE properties.desired.on = true and 3 = tags.n":    "d1",
		"WHERE tags.site != 5":                                 "d1 d2",
		"WHERE tags.site < 5":                                  "",
		"WHERE properties.desired.$version <> 1":               "d1",
	} {
		body, _ := json.Marshal(map[string]string{"query": "SELECT * FROM devices " + where})
		var list []struct{ DeviceID string }
		if err := json.Unmarshal([]byte(r.must("POST", "/devices/query"+apiVersion, string(body))), &list); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, d := range list {
			ids = append(ids, d.DeviceID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %q, want %q", where, got, want)
		}
	}
	for _, bad := range []string{
		"", "SELECT", "SELECT deviceId FROM devices", "SELECT COUNT() AS n FROM devices", "SELECT * FROM devices.jobs",
		"SELECT * FROM devices WHERE", "SELECT * FROM devices WHERE a", "SELECT * FROM devices WHERE a =", "SELECT * FROM devices WHERE a ~ 1",
		"SELECT * FROM devices WHERE (a = 1", "SELECT * FROM devices WHERE a IN []", "SELECT * FROM devices WHERE a IN [b]",
		"SELECT * FROM devices WHERE a = 'x", "SELECT * FROM devices WHERE a = 1 GROUP BY b", "SELECT * FROM devices WHERE a. = 1",
		"SELECT * FROM devices WHERE STARTS_WITH(a, 'b')", "SELECT * FROM devices WHERE " + strings.Repeat("(", 1000),
	} {
		body, _ := json.Marshal(map[string]string{"query": bad})
		if status, answer := r.call("POST", "/devices/query"+apiVersion, string(body)); status != 400 || !strings.Contains(answer, "query: ") {
			t.Errorf("%.80s: %d %s, want 400", bad, status, answer)
		}
	}
}

func TestPagesOfAQuery(t *testing.T) {
	r := startRig(t)
	for i := range 3 {
		r.must("PUT", fmt.Sprintf("/devices/e%d%s", i, apiVersion), fmt.Sprintf(`{"deviceId":"e%d"}`, i))
	}
	var ids []string
	for token, pages := "", 0; ; pages++ {
		resp := r.request("POST", "/devices/query"+apiVersion, `{"query":"SELECT * FROM devices"}`, "x-ms-max-item-count", "2", "x-ms-continuation", token)
		var list []struct{ DeviceID string }
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for _, d := range list {
			ids = append(ids, d.DeviceID)
		}
		if token = resp.Header.Get("x-ms-continuation"); token == "" {
			if pages != 2 {
				t.Errorf("%d pages with more behind them, want 2", pages)
			}
			break
		}
	}
	if got := strings.Join(ids, " "); got != "d1 d2 e0 e1 e2" {
		t.Errorf("got %s", got)
	}
	for header, value := range map[string]string{"x-ms-max-item-count": "0", "x-ms-continuation": "%"} {
		if status, _ := r.call("POST", "/devices/query"+apiVersion, `{"query":"SELECT * FROM devices"}`, header, value); status != 400 {
			t.Errorf("%s %s: %d, want 400", header, value, status)
		}
	}
}

func FuzzTwinTopic(f *testing.F) {
	f.Add("GET/?$rid=1")
	f.Add("PATCH/properties/reported/?$rid=a&$version=3")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := parseTwinRequest(s)
		if err == nil && (q.rid == "" || q.version < -1 || !q.report && q.version != -1) {
			t.Errorf("%q is taken for %+v", s, q)
		}
	})
}

// A document that is accepted keeps the limits, and merging it into nothing,
// and again into the result, changes nothing but what is null.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1,"c":null},"d":[1,"x",{"e":true}],"f":-4503599627370496}`))
	f.Add([]byte(`{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1.5e3}}}}}}}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDocument(data)
		if err != nil {
			return
		}
		once := document(nil).merge(d)
		if again := once.merge(d); text(again) != text(once) {
			t.Errorf("%s: %s, then %s", data, text(once), text(again))
		}
		if _, err := parseDocument([]byte(text(once))); err != nil {
			t.Errorf("%s is not accepted again: %v", text(once), err)
		}
		if n := once.size(); n < 0 || n > len(data)*9 {
			t.Errorf("size %d of %d bytes", n, len(data))
		}
		stamps := stamp{}.after(d, time.Now(), 1)
		if !slices.Equal(slices.Sorted(maps.Keys(once)), slices.Sorted(maps.Keys(stamps.Below))) {
			t.Errorf("%s has stamps for %v", text(once), stamps.Below)
		}
	})
}

func FuzzTwinChange(f *testing.F) {
	f.Add([]byte(`{"tags":{"a":1},"properties":{"desired":{"$version":1,"$metadata":{},"x":null}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := readTwinChange(data)
		if err != nil {
			return
		}
		if line, err := json.Marshal(change{TwinChange: &c}); err != nil || strings.Contains(string(line), "\n") {
			t.Errorf("%s cannot be written down: %v", data, err)
		}
		_ = newTwin().after(c).check()
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("SELECT * FROM devices WHERE NOT (tags.a IN ['x', 1] OR is_defined(a.b)) AND a.$c <= -1e3")
	f.Add(`select * from devices where a = "\"" or 1 <> null`)
	twin, err := asQueried((&device{identity: identity{ID: "d"}, twin: newTwin()}).view())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		if q, err := parseQuery(s); err == nil {
			q.matches(twin)
		}
	})
}
