package ingest

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestGoodLines(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	level := gateway.Reading{Name: "level", Value: gateway.Number(3.2)}
	for text, want := range map[string][]gateway.Reading{
		`{"name":"level","value":3.2}`:                {level},
		` { "value" : 3.2 , "name" : "level" } `:      {level},
		`{"readings":[{"name":"level","value":3.2}]}`: {level},
		`{"name":"level","value":3.2,"unit":"m","time":"2026-11-24T13:00:00+01:00","device":"tank-1","quality":"bad"}`: {{
			Device: "tank-1", Name: "level", Value: gateway.Number(3.2), Unit: "m", Time: noon, Quality: gateway.Bad,
		}},
		`{"readings":[{"name":"a","value":true},{"name":"a","value":"Tür"},{"name":"b.c_d-1","value":-1e-3,"unit":"%RH"}]}`: {
			{Name: "a", Value: gateway.Bool(true)},
			{Name: "a", Value: gateway.Text("Tür")},
			{Name: "b.c_d-1", Value: gateway.Number(-0.001), Unit: "%RH"},
		},
		`{"name":"level","value":3.2,"unit":""}`:                     {level},
		`{"name":"t","value":"` + strings.Repeat("x", 16<<10) + `"}`: {{Name: "t", Value: gateway.Text(strings.Repeat("x", 16<<10))}},
	} {
		got, err := parseLine([]byte(text))
		if err != nil {
			t.Errorf("%.80s: %v", text, err)
			continue
		}
		for i := range got {
			got[i].Time = got[i].Time.UTC()
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%.80s:\ngot  %+v\nwant %+v", text, got, want)
		}
	}
}

func TestBadLines(t *testing.T) {
	for text, want := range map[string]string{
		``:                                    "it is empty",
		"  \t":                                "it is empty",
		"{\"name\":\"a\",\"value\":\"\xff\"}": "not UTF-8",
		`level=3.2`:                           "malformed JSON",
		`[{"name":"a","value":1}]`:            "want a JSON object",
		`3.2`:                                 "want a JSON object",
		`null`:                                "want a JSON object",
		`{"name":"a","value":1`:               "it ends in the middle",
		`{"name":"a","value":1,}`:             "malformed JSON at byte",
		`{"name":"a" "value":1}`:              "malformed JSON at byte",
		`{"name":"a","value":1} {}`:           "something behind the JSON object",
		`{"name":"a","value":1} x`:            "something behind the JSON object",
		`{}`:                                  `"name" is missing`,
		`{"name":"a"}`:                        `"value" is missing`,
		`{"value":1}`:                         `"name" is missing`,
		`{"name":"a","value":1,"value":2}`:    `key "value" twice`,
		`{"name":"a","valeu":1}`:              `unknown key "valeu"; want name, value, unit, time, device, quality`,
		`{"Name":"a","value":1}`:              `unknown key "Name"`,
		`{"name":"a","value":null}`:           "value: want a number, true, false or a text, not null",
		`{"name":"a","value":[1]}`:            "not a list",
		`{"name":"a","value":{"b":1}}`:        "not an object",
		`{"name":"a","value":NaN}`:            "malformed JSON",
		`{"name":"a","value":1e400}`:          "1e400 is beyond what a number can be",
		`{"name":"a","value":-1e400}`:         "beyond what a number can be",
		`{"name":"a","value":01}`:             "malformed JSON",
		`{"name":"","value":1}`:               "name: \"\" is not allowed; want up to 63",
		`{"name":"a b","value":1}`:            "is not allowed",
		`{"name":5,"value":1}`:                "name: want a text, not a number",
		`{"name":"Füllstand","value":1}`:      "is not allowed",
		`{"name":"` + strings.Repeat("n", 64) + `","value":1}`:         "is not allowed",
		`{"name":"a","value":1,"device":"a/b"}`:                        "device: \"a/b\" is not allowed",
		`{"name":"a","value":1,"unit":"°C"}`:                           "want a UCUM code such as Cel",
		`{"name":"a","value":1,"unit":5}`:                              "unit: want a text, not a number",
		`{"name":"a","value":1,"quality":"fine"}`:                      "want good, uncertain or bad",
		`{"name":"a","value":1,"quality":true}`:                        "quality: want a text, not true",
		`{"name":"a","value":1,"time":"noon"}`:                         "time: \"noon\" is no time; want RFC 3339",
		`{"name":"a","value":1,"time":1764000000}`:                     "time: want a text, not a number",
		`{"name":"a","value":1,"time":"1969-12-31T23:59:59Z"}`:         "out of range; want 1970 to 9999",
		`{"name":"a","value":1,"time":"9999-12-31T23:59:59-01:00"}`:    "out of range",
		`{"name":"a","value":"` + strings.Repeat("x", 16<<10+1) + `"}`: "text of 16385 bytes; at most 16384",
		`{"readings":[]}`:   "want at least one reading",
		manyReadings(101):   "readings: want at most 100 readings",
		`{"readings":{}}`:   "want a list of readings",
		`{"readings":null}`: "want a list of readings",
		`{"readings":[5]}`:  "reading 1: want a JSON object",
		`{"readings":[{"name":"a","value":1},{"name":"b"}]}`:    `reading 2: "value" is missing`,
		`{"readings":[{"name":"a","value":1}],"device":"tank"}`: `"readings" stands alone`,
		`{"readings":[{"readings":[]}]}`:                        `unknown key "readings"`,
		`{"readings":[{"name":"a","value":1}}`:                  "malformed JSON",
		strings.Repeat(`{"readings":[`, 10_000):                 `unknown key "readings"`,
	} {
		got, err := parseLine([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v %v, want an error with %q", text, got, err, want)
		}
		if err != nil && (len(err.Error()) > 400 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%.80s: the error is %d bytes: %.500s", text, len(err.Error()), err)
		}
	}
}

// manyReadings is a line with so many.
func manyReadings(n int) string {
	return `{"readings":[` + strings.Repeat(`{"name":"a","value":1},`, n-1) + `{"name":"a","value":1}]}`
}

func TestMostReadingsOfALine(t *testing.T) {
	if got, err := parseLine([]byte(manyReadings(100))); err != nil || len(got) != 100 {
		t.Errorf("%d readings, %v", len(got), err)
	}
}

// FuzzLine: what is accepted is JSON, and readings that the pipeline can carry;
// what is refused has a reason of one line.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`{"name":"level","value":3.2,"unit":"m","time":"2026-11-24T13:00:00+01:00","device":"tank","quality":"good"}`,
		`{"readings":[{"name":"a","value":true},{"name":"b","value":"x"}]}`,
		`{"name":"a","value":1,"value":2}`, `{"name":"a","value":1e999}`, `{"readings":[`, `{"name":"\ud800","value":"\u0000"}`, "\xff", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		readings, err := parseLine(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("no reason")
			}
			return
		}
		if !json.Valid(text) || len(readings) == 0 || len(readings) > maxReadings {
			t.Fatalf("%q is accepted as %d readings", text, len(readings))
		}
		for _, r := range readings {
			if !nameShape.MatchString(r.Name) || r.Device != "" && !nameShape.MatchString(string(r.Device)) {
				t.Errorf("%+v", r)
			}
			if n, ok := r.Value.Number(); ok && (math.IsNaN(n) || math.IsInf(n, 0)) {
				t.Errorf("the value %v", n)
			}
			if _, err := json.Marshal(r.Value); err != nil {
				t.Error(err)
			}
			if !r.Time.IsZero() && r.Time.UTC().Year() < 1970 {
				t.Errorf("the time %v", r.Time)
			}
		}
	})
}
