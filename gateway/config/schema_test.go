package config_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fieldpost/fieldpost/gateway/config"
)

func plantSchema() map[string]any {
	return config.Schema(plant{}, map[string]config.Variants{"devices": devices})
}

// jsonOf turns a value into what the JSON decoder of the validator makes of it.
func jsonOf(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compile(t *testing.T, schema map[string]any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", jsonOf(t, schema)); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json") // also checks it against its metaschema
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func instance(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return jsonOf(t, v)
}

func TestSchemaGolden(t *testing.T) {
	text, err := json.MarshalIndent(plantSchema(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/schema.json", string(text)+"\n")
}

// TestSchemaTakesWhatDecodeTakes: an editor finds no fault with a good file.
func TestSchemaTakesWhatDecodeTakes(t *testing.T) {
	schema := compile(t, plantSchema())
	for _, path := range cases(t, "good") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(instance(t, strings.TrimPrefix(string(text), "\ufeff"))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	schema := compile(t, plantSchema())
	const frame = "gateway: {id: a}\ndevices: []\n"
	if err := schema.Validate(instance(t, frame)); err != nil {
		t.Fatal(err)
	}
	for where, wrong := range map[string]string{
		"/gateway/id":       "gateway: {id: A B}\ndevices: []\n",
		"/gateway":          "gateway: {}\ndevices: []\n",
		"":                  "gateway: {id: a}\n",
		"/gateway/log":      "gateway: {id: a, log: loud}\ndevices: []\n",
		"/devices":          "gateway: {id: a}\ndevices: {}\n",
		"/devices/0/driver": "gateway: {id: a}\ndevices: [{id: a, driver: nothing}]\n",
		"/devices/0":        "gateway: {id: a}\ndevices: [{id: a, driver: relay}]\n",
		"/devices/1":        "gateway: {id: a}\ndevices: [{id: a, driver: thermo}, {id: b, driver: thermo, line: x}]\n",
		"/devices/0/every":  "gateway: {id: a}\ndevices: [{id: a, driver: thermo, every: 5}]\n",
		"/devices/0/safe":   "gateway: {id: a}\ndevices: [{id: a, driver: relay, line: x, safe: maybe}]\n",
		"/queue":            frame + "queue: {max_byte: 5}\n",
		"/queue/max_bytes":  frame + "queue: {max_bytes: plenty}\n",
		"/queue/max_age":    frame + "queue: {max_age: 5 s}\n",
		"/values/switch":    frame + "values: {switch: 'yes'}\n",
		"/values/whole":     frame + "values: {whole: -11}\n",
		"/values/address":   frame + "values: {address: 256}\n",
		"/values/ratio":     frame + "values: {ratio: 1.01}\n",
		"/values/text":      frame + "values: {text: }\n",
		"/values/names/1":   frame + "values: {names: [a, B]}\n",
		"/values/waits":     frame + "values: {waits: 5s}\n",
		"/values/levels/a":  frame + "values: {levels: {a: -1}}\n",
		"/values/points/0":  frame + "values: {points: [{y: 1}]}\n",
		"/labels/a":         frame + "labels: {a: [1]}\n",
	} {
		err := schema.Validate(instance(t, wrong))
		if err == nil || !strings.Contains(err.Error(), "at '"+where+"'") {
			t.Errorf("%s: got %v", where, err)
		}
	}
}

// TestSchemaDefaults: what the schema says of defaults can be written into the
// file and changes nothing.
func TestSchemaDefaults(t *testing.T) {
	schema := jsonOf(t, plantSchema()).(map[string]any)
	document := defaultsOf(schema)
	if len(document["values"].(map[string]any)) < 8 {
		t.Fatalf("too few defaults: %v", document)
	}
	document["gateway"].(map[string]any)["id"] = "a"
	document["devices"] = []any{}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	written, _, err := load(write(t, string(text)+"\n"))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	absent, _, err := load(filepath.Join("testdata", "good", "minimal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	written.Devices, absent.Devices = nil, nil
	if !reflect.DeepEqual(written, absent) {
		t.Errorf("written out: %+v\nleft out: %+v", written, absent)
	}
}

func defaultsOf(schema map[string]any) map[string]any {
	document := make(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range maps.All(properties) {
		p := p.(map[string]any)
		if value, ok := p["default"]; ok {
			document[name] = value
		} else if inner := defaultsOf(p); len(inner) > 0 {
			document[name] = inner
		}
	}
	return document
}

// TestKindHasItsOwnWordOnACommonKey: what an editor shows is what holds for it.
func TestKindHasItsOwnWordOnACommonKey(t *testing.T) {
	type asking struct {
		Every string `yaml:"every" doc:"How often it is asked."`
	}
	type common struct {
		Driver string `yaml:"driver" required:"true"`
		Every  string `yaml:"every" doc:"How often it is read."`
	}
	type file struct {
		Devices []config.Section `yaml:"devices" variants:"devices"`
	}
	schema := config.Schema(file{}, map[string]config.Variants{
		"devices": {Key: "driver", Common: common{}, Cases: map[string]any{"asked": asking{}}},
	})
	text, err := json.Marshal(schema["$defs"].(map[string]any)["devices.asked"])
	if err != nil || !strings.Contains(string(text), "How often it is asked.") {
		t.Errorf("%s (%v)", text, err)
	}
	for key, want := range map[string]bool{"every": true, "driver": false} {
		if got := config.HasKey(&asking{}, key); got != want {
			t.Errorf("has %s: %v", key, got)
		}
	}
}
