package service

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

var update = flag.Bool("update", false, "write the expected errors anew")

const testHub = "HostName=hub.example;DeviceId=gw;SharedAccessKey=c2VjcmV0"

// withSecret is a config file whose secrets are at hand: a copy in which the
// path of each secret leads to a file of this test.
func withSecret(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "hub")
	if err := os.WriteFile(secret, []byte(testHub+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, filepath.Base(path))
	text = bytes.ReplaceAll(text, []byte("/etc/fieldpost/secrets/hub"), []byte(secret))
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// TestBadConfigs compares the whole error text of each file in testdata/bad.
func TestBadConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			_, err := Load(file)
			if err == nil {
				t.Fatal("it loads, want errors")
			}
			// The drivers are left out: they are many, and more with time.
			got := strings.ReplaceAll(err.Error(), strings.Join(driverNames(), ", "), "DRIVERS") + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for line := range strings.Lines(got) {
				if !regexp.MustCompile(`^testdata/bad/\S+\.yaml:\d+:\d+: `).MatchString(line) {
					t.Errorf("no place in %q", line)
				}
			}
		})
	}
}

// configFiles are the files that come with fieldpost.
func configFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../configs/examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	return append(files, "../../configs/fieldpost.yaml")
}

func TestShippedConfigsLoad(t *testing.T) {
	for _, file := range configFiles(t) {
		if _, err := Load(withSecret(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	t.Setenv("FIELDPOST_DEMO_DIR", t.TempDir())
	t.Setenv("FIELDPOST_DEMO_HUB", testHub)
	t.Setenv("FIELDPOST_DEMO_CA", "ca.pem")
	t.Setenv("FIELDPOST_DEMO_HTTPS_PORT", "18443")
	if _, err := Load("../../configs/demo.yaml"); err != nil {
		t.Error(err)
	}
}

// commented is a key that the annotated file shows with its default.
var commented = regexp.MustCompile(`(?m)^( *)# ([a-z_]+: )`)

// TestDefaultsInTheAnnotatedFileAreTrue takes the comment signs away: the file
// must mean the same as before.
func TestDefaultsInTheAnnotatedFileAreTrue(t *testing.T) {
	file := withSecret(t, "../../configs/fieldpost.yaml")
	before, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Keys whose default is to be left out show an example instead.
	shown := regexp.MustCompile(`(?m)^ *# (ca_file|proxy|actuations|max_rate|data_plan|max_bytes: 256MB|max_messages|encryption_key|card_endurance).*\n`).ReplaceAll(text, nil)
	// The other upstream is shown whole in comments; it stays one.
	head, rest, found := bytes.Cut(shown, []byte("  # Or any MQTT broker:"))
	_, tail, found2 := bytes.Cut(rest, []byte("\n\n"))
	if !found || !found2 {
		t.Fatal("the section about MQTT brokers has moved; mend this test")
	}
	shown = commented.ReplaceAll(append(head, tail...), []byte("$1$2"))
	if bytes.Equal(shown, text) {
		t.Fatal("nothing is commented")
	}
	if err := os.WriteFile(file, shown, 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := Load(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	if want, got := describe(before), describe(after); got != want {
		t.Errorf("with the defaults spelt out:\n%s\nwithout:\n%s", got, want)
	}
}

// describe is everything that a config says.
func describe(l *Loaded) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %+v %+v %+v\n%+v\n", config.Describe(l.Gateway), l.Queue, l.Batch, l.Commands, l.upstream.config)
	for _, d := range l.devices {
		fmt.Fprintf(&b, "%v %+v\n", config.Describe(d.DeviceConfig), d.config)
	}
	return b.String()
}

// TestAnnotatedFileIsComplete: every key that there is stands in it.
func TestAnnotatedFileIsComplete(t *testing.T) {
	annotated := fileText(t, "../../configs/fieldpost.yaml")
	structs := []any{Config{}, UpstreamConfig{}, DeviceConfig{}}
	for _, kind := range upstreamKinds {
		structs = append(structs, kind.config())
	}
	for _, kind := range bus.Kinds() {
		structs = append(structs, kind.Config())
	}
	for _, s := range structs {
		for _, key := range missingKeys(s, annotated) {
			t.Errorf("%T: the annotated file does not mention %s", s, key)
		}
	}
}

// TestExamplesAreComplete finds keys of drivers that stand neither in their
// example nor, as those of serial ports, in the annotated file.
func TestExamplesAreComplete(t *testing.T) {
	annotated := fileText(t, "../../configs/fieldpost.yaml")
	for _, d := range drivers.List() {
		example := fileText(t, "../../configs/examples/"+d.Name+".yaml")
		for _, key := range missingKeys(d.Config(), annotated+example) {
			t.Errorf("driver %s: its example does not mention %s", d.Name, key)
		}
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// missingKeys lists the keys of a struct that a text has not.
func missingKeys(s any, text string) (missing []string) {
	for _, key := range keysOf(reflect.TypeOf(s)) {
		if !regexp.MustCompile(`(?m)(^|[ {])` + key + `:`).MatchString(text) {
			missing = append(missing, key)
		}
	}
	return missing
}

func keysOf(t reflect.Type) (keys []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return keysOf(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			key := t.Field(i).Tag.Get("yaml")
			if key == "" && t.Field(i).Anonymous {
				keys = append(keys, keysOf(t.Field(i).Type)...)
			}
			if key != "" {
				keys = append(append(keys, key), keysOf(t.Field(i).Type)...)
			}
		}
	}
	return keys
}

// TestDriversHaveNoKeyOfProcessing: it would mean two things.
func TestDriversHaveNoKeyOfProcessing(t *testing.T) {
	if err := config.CheckTags(DeviceConfig{}); err != nil {
		t.Error(err)
	}
	common := keysAbove(reflect.TypeFor[pipeline.Processing]())
	for _, d := range drivers.List() {
		for _, key := range keysAbove(reflect.TypeOf(d.Config()).Elem()) {
			if slices.Contains(common, key) {
				t.Errorf("driver %s has a key %s, which every device has; name it otherwise", d.Name, key)
			}
		}
	}
}

// keysAbove are the keys of a struct, not those in its sections.
func keysAbove(t reflect.Type) (keys []string) {
	for _, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("yaml"); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestSchemaAcceptsWhatLoads and refuses what an editor should underline.
func TestSchemaAcceptsWhatLoads(t *testing.T) {
	schema := compileSchema(t)
	for _, file := range append(configFiles(t), "../../configs/demo.yaml") {
		if err := schema.Validate(readYAML(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, bad := range []string{"unknown-keys", "many-errors"} {
		if err := schema.Validate(readYAML(t, "testdata/bad/"+bad+".yaml")); err == nil {
			t.Errorf("%s passes, want it refused", bad)
		}
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("fieldpost.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("fieldpost.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// readYAML gives the JSON form of a file, as editors see it.
func readYAML(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestRulesThatAreNotObeyed are told by check: the device takes nothing from rules.
func TestRulesThatAreNotObeyed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fieldpost.yaml")
	text := `gateway: {id: a}
upstreams: [{type: mqtt, url: "mqtt://broker.example"}]
devices:
  - {id: fan, driver: sim, allow: [hub, local]}
  - {id: lamp, driver: sim, allow_actions: {pulse: [local]}}
rules:
  - {id: never, when: lamp.relay, do: {device: fan, action: relay, args: {on: true}}}
  - {id: some, when: lamp.door_open, do: {device: lamp, action: relay, args: {on: true}}, otherwise: {device: lamp, action: pulse, args: {ms: 5}}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(l.Advice())
	for _, want := range []string{"rules[never].do.device: device fan does not take relay from rules", "rules[some].otherwise.device: device lamp does not take pulse from rules"} {
		if !strings.Contains(got, want) || len(l.Advice()) != 2 {
			t.Errorf("advice %s, want %s", got, want)
		}
	}
}

// TestGroupsThatNeedAnOrder are told by check.
func TestGroupsThatNeedAnOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fieldpost.yaml")
	text := `gateway: {id: a}
upstreams: [{type: mqtt, url: "mqtt://broker.example"}]
devices:
  - {id: valve, driver: sim}
  - {id: pump, driver: sim, only_while: valve.relay and lamp.humidity > 1}
  - {id: lamp, driver: sim}
groups: {lights: [lamp, valve], water: [pump, valve]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(l.Advice()); len(l.Advice()) != 1 || !strings.Contains(got, "groups.water: pump needs valve") {
		t.Errorf("advice %s", got)
	}
}
