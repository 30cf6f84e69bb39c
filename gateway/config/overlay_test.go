package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/config"
)

type alarm struct {
	ID   string        `yaml:"id" required:"true"`
	When string        `yaml:"when" required:"true"`
	For  time.Duration `yaml:"for" default:"1m" max:"1h"`
}

type bounds struct {
	Min *float64 `yaml:"min"`
	Max *float64 `yaml:"max"`
}

type watched struct {
	Name   string            `yaml:"name"`
	Every  time.Duration     `yaml:"every" default:"10s" min:"1s"`
	Bands  map[string]string `yaml:"bands"`
	Bounds map[string]bounds `yaml:"bounds"`
	Alarms []alarm           `yaml:"alarms"`
	Words  []string          `yaml:"words"`
}

const base = `name: x
every: 30s
bands: {t: 0.1, t.mean: 2%}
bounds: {t: {min: -40, max: 85}}
alarms:
  - {id: hot, when: t > 35, for: 2m}
  - {id: 1cold, when: t < 5}
words: [a, b]
`

// laid puts a JSON text over base; alarms go by their ids.
func laid(t *testing.T, text string) (*config.Section, error) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	if alarms, ok := object["alarms"].(map[string]any); ok {
		object["alarms"] = config.ByID(alarms)
	}
	return section(t, base).Overlay("set", object)
}

func TestOverlay(t *testing.T) {
	number := func(x float64) *float64 { return &x }
	same := func() watched {
		return watched{
			Name: "x", Every: 30 * time.Second, Bands: map[string]string{"t": "0.1", "t.mean": "2%"},
			Bounds: map[string]bounds{"t": {number(-40), number(85)}}, Words: []string{"a", "b"},
			Alarms: []alarm{{"hot", "t > 35", 2 * time.Minute}, {"1cold", "t < 5", time.Minute}},
		}
	}
	for text, change := range map[string]func(w *watched){
		`{}`:                            func(*watched) {},
		`{"every":"1h","name":"y"}`:     func(w *watched) { w.Every, w.Name = time.Hour, "y" },
		`{"every":null}`:                func(w *watched) { w.Every = 10 * time.Second },
		`{"bands":{"t":0.5,"h":"1"}}`:   func(w *watched) { w.Bands["t"], w.Bands["h"] = "0.5", "1" },
		`{"bands":{"t.mean":null}}`:     func(w *watched) { delete(w.Bands, "t.mean") },
		`{"bands":null}`:                func(w *watched) { w.Bands = nil },
		`{"bands":{"t":1000000}}`:       func(w *watched) { w.Bands["t"] = "1000000" },
		`{"bounds":{"t":{"max":60}}}`:   func(w *watched) { w.Bounds["t"] = bounds{number(-40), number(60)} },
		`{"bounds":{"h":{"min":1e-3}}}`: func(w *watched) { w.Bounds["h"] = bounds{Min: number(0.001)} },
		`{"words":["c"]}`:               func(w *watched) { w.Words = []string{"c"} },
		`{"alarms":{"hot":{"for":"3m"}, "1cold":{"when":"t < 1"}}}`: func(w *watched) { w.Alarms[0].For, w.Alarms[1].When = 3*time.Minute, "t < 1" },
		`{"alarms":{"hot":{"for":null},"wet":{"when":"h > 9"},"dry":{"when":"h < 1"}}}`: func(w *watched) {
			w.Alarms[0].For = time.Minute
			w.Alarms = append(w.Alarms, alarm{"dry", "h < 1", time.Minute}, alarm{"wet", "h > 9", time.Minute})
		},
		`{"alarms":{"hot":null}}`:                    func(w *watched) { w.Alarms = w.Alarms[1:] },
		`{"name":"${file:/etc/passwd} $$ ${env:A}"}`: func(w *watched) { w.Name = "${file:/etc/passwd} $$ ${env:A}" },
	} {
		s, err := laid(t, text)
		var got watched
		if err := errors.Join(err, s.Decode(&got)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		want := same()
		if change(&want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

// TestOverlayLeavesTheSection as it was, and it can be laid over again.
func TestOverlayLeavesTheSection(t *testing.T) {
	s := section(t, base)
	var before, after, twice watched
	if err := s.Decode(&before); err != nil {
		t.Fatal(err)
	}
	once, err := s.Overlay("set", map[string]any{
		"bands": map[string]any{"t": "9"}, "alarms": config.ByID{"hot": nil, "wet": map[string]any{"when": "h"}}, "bounds": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Decode(&after); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("it is %+v now, %v", after, err)
	}
	again, err := once.Overlay("more", map[string]any{"alarms": config.ByID{"wet": map[string]any{"for": "2m"}}})
	if err := errors.Join(err, again.Decode(&twice)); err != nil || len(twice.Alarms) != 2 || twice.Alarms[1] != (alarm{"wet", "h", 2 * time.Minute}) || twice.Bands["t"] != "9" {
		t.Errorf("%+v, %v", twice, err)
	}
}

// TestOverlayFaultsNameThePlace: that in the object, or that in the file if it is at
// fault with what lies over it.
func TestOverlayFaultsNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		`{"evry":"1s"}`:                    "set.evry: is not a key that is known here (did you mean every?)",
		`{"every":60}`:                     `set.every: "60" is not allowed: the unit is missing`,
		`{"every":"1ms"}`:                  "set.every: ",
		`{"every":["1s"]}`:                 "set.every: is a list; want a duration",
		`{"words":["a",{"b":1}]}`:          "set.words[1]: is a section; want text",
		`{"bands":7}`:                      "set.bands: is a single value; want a section",
		`{"bounds":{"t":{"max":"85"}}}`:    "set.bounds.t.max: ",
		`{"bounds":{"a b":{"mx":1}}}`:      `set.bounds."a b".mx: is not a key`,
		`{"alarms":{"hot":{"when":null}}}`: "set.alarms.hot.when: is missing",
		`{"alarms":{"wet":{}}}`:            "set.alarms.wet.when: is missing",
		`{"alarms":{"hot":{"id":"cold"}}}`: "set.alarms.hot.id: the name of the object is the id",
		`{"alarms":{"hot":true}}`:          "set.alarms.hot: is no object",
		`{"alarms":{"wet":null}}`:          "set.alarms.wet: the config has nothing here",
		`{"bands":{"h":null}}`:             "set.bands.h: the config has nothing here",
		`{"alarms":[{"id":"hot"}]}`:        "set.alarms[0].when: is missing",
		`{"alarms":{"hot":{"for":"2h"}}}`:  "set.alarms.hot.for: ",
		`{"words":[["a"]]}`:                "set.words[0]: is a list; want text",
	} {
		s, err := laid(t, text)
		all := config.Join(err, s.Decode(&watched{}))
		var errs config.Errors
		if !errors.As(all, &errs) || len(errs) != 1 || !strings.HasPrefix(errs[0].Path+": "+errs[0].Problem, strings.SplitN(want, ": ", 2)[0]+": ") || !strings.Contains(errs[0].Problem, strings.SplitN(want, ": ", 2)[1]) {
			t.Errorf("%s: got %v, want %s", text, all, want)
		}
	}
	s, _ := laid(t, `{"bounds":{"t":{"max":-50}}}`)
	if got := s.Errorf("bounds.t.min", "is above max").Error(); !strings.HasSuffix(got, ":4:19: bounds.t.min: is above max") {
		t.Errorf("got %s", got)
	}
}

// FuzzOverlay: any object gives a section that decodes or says why not, and reaches
// no file.
func FuzzOverlay(f *testing.F) {
	f.Add([]byte(`{"name":"${file:/etc/hostname}","bands":{"t":null},"words":[[]],"alarms":{"hot":{"for":"3m"}}}`))
	f.Add([]byte(`{"alarms":{"":{"":{"":null}}},"every":1e300,"bounds":{"t":[true]}}`))
	path := f.TempDir() + "/c.yaml"
	if err := os.WriteFile(path, []byte(base), 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := config.Load(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var object map[string]any
		if json.Unmarshal(text, &object) != nil {
			return
		}
		name, isText := object["name"].(string)
		if alarms, ok := object["alarms"].(map[string]any); ok {
			object["alarms"] = config.ByID(alarms)
		}
		over, err := s.Overlay("set", object)
		var w watched
		if err := errors.Join(err, over.Decode(&w)); err == nil && isText && w.Name != name {
			t.Errorf("%q became %q", name, w.Name)
		}
	})
}
