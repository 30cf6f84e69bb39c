package iothub

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// The cases of RFC 7396, appendix A, that have objects on both sides, and more.
func TestMergePatch(t *testing.T) {
	for _, tc := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":"text"}`, `{"a":{"b":1,"c":null}}`, `{"a":{"b":1}}`},
		{`{"a":{"b":1}}`, `{}`, `{"a":{"b":1}}`},
	} {
		target, patch := object(t, tc[0]), object(t, tc[1])
		if got := mergePatch(target, patch); !reflect.DeepEqual(got, object(t, tc[2])) {
			t.Errorf("%s and %s: got %v, want %s", tc[0], tc[1], got, tc[2])
		}
		if !reflect.DeepEqual(target, object(t, tc[0])) || !reflect.DeepEqual(patch, object(t, tc[1])) {
			t.Errorf("%s and %s: an argument was changed", tc[0], tc[1])
		}
	}
}

func TestMergeDiffIsSmall(t *testing.T) {
	for _, tc := range [][3]string{
		{`{}`, `{}`, `{}`},
		{`{"a":1,"b":{"c":2,"d":3}}`, `{"a":1,"b":{"c":2,"d":4}}`, `{"b":{"d":4}}`},
		{`{"a":1,"b":2}`, `{"b":2}`, `{"a":null}`},
		{`{"a":{"b":1}}`, `{"a":{}}`, `{"a":{"b":null}}`},
		{`{"a":[1,2]}`, `{"a":[1,3]}`, `{"a":[1,3]}`},
		{`{"a":{"b":1}}`, `{"a":"b"}`, `{"a":"b"}`},
		{`{"a":"b"}`, `{"a":{}}`, `{"a":{}}`},
	} {
		if got := mergeDiff(object(t, tc[0]), object(t, tc[1])); !reflect.DeepEqual(got, object(t, tc[2])) {
			t.Errorf("from %s to %s: %v, want %s", tc[0], tc[1], got, tc[2])
		}
	}
}

func TestPlain(t *testing.T) {
	got, err := plain(map[string]any{"n": 3, "s": struct{ A *int }{}, "x": nil, "l": []string{"a"}})
	want := object(t, `{"n":3,"s":{},"l":["a"]}`)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := plain(map[string]any{"f": math.Inf(1)}); err == nil {
		t.Error("infinity has no JSON form")
	}
}

// What mergeDiff says, mergePatch does.
func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[1,null],"d":"x"}}`), []byte(`{"b":{"c":2},"e":{}}`))
	f.Add([]byte(`{"a":{"a":{"a":{}}}}`), []byte(`{"a":{"a":1}}`))
	f.Add([]byte(strings.Repeat(`{"a":`, 500)+`1`+strings.Repeat(`}`, 500)), []byte(`{}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var from, to map[string]any
		if json.Unmarshal(a, &from) != nil || json.Unmarshal(b, &to) != nil {
			return
		}
		from, to = withoutNulls(from), withoutNulls(to)
		patch := mergeDiff(from, to)
		if got := mergePatch(from, patch); !reflect.DeepEqual(got, to) {
			t.Errorf("from %v to %v by %v: %v", from, to, patch, got)
		}
		if reflect.DeepEqual(from, to) != (len(patch) == 0) {
			t.Errorf("from %v to %v: %v", from, to, patch)
		}
	})
}
