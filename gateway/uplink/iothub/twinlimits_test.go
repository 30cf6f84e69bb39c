package iothub

import (
	"fmt"
	"strings"
	"testing"
)

func nested(depth int) map[string]any {
	v := map[string]any{"x": 1.0}
	for range depth {
		v = map[string]any{"a": v}
	}
	return v
}

func TestCheckTwin(t *testing.T) {
	many := map[string]any{}
	for i := range 8 {
		many[fmt.Sprint("k", i)] = strings.Repeat("x", 4000)
	}
	for name, tc := range map[string]struct {
		value map[string]any
		want  string // empty: it is taken
	}{
		"empty":            {map[string]any{}, ""},
		"all types":        {map[string]any{"a": []any{1.0, true, "x", map[string]any{"b": -1.5}}}, ""},
		"ten deep":         {nested(10), ""},
		"eleven deep":      {nested(11), "more than 10 objects"},
		"deep list":        {map[string]any{"a": []any{nested(9)}}, "more than 10 objects"},
		"long text":        {map[string]any{"a": map[string]any{"b": strings.Repeat("x", 4097)}}, "a.b: a text of 4097 bytes"},
		"longest text":     {map[string]any{"a": strings.Repeat("x", 4096)}, ""},
		"long key":         {map[string]any{strings.Repeat("k", 1025): 1.0}, "key"},
		"dot":              {map[string]any{"a.b": 1.0}, "key"},
		"dollar":           {map[string]any{"$version": 1.0}, "key"},
		"space":            {map[string]any{"a b": 1.0}, "key"},
		"control":          {map[string]any{"a\u0085": 1.0}, "key"},
		"empty key":        {map[string]any{"": 1.0}, "key"},
		"largest integer":  {map[string]any{"a": float64(1<<52 - 1), "b": -float64(1<<52 - 1)}, ""},
		"too large":        {map[string]any{"a": float64(1 << 52)}, "too large for an integer"},
		"null":             {map[string]any{"a": nil}, "not allowed"},
		"32 kB altogether": {many, ""},
	} {
		err := checkTwin(tc.value)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
	many["k8"] = strings.Repeat("x", 4000)
	if err := checkTwin(many); err == nil || !strings.Contains(err.Error(), "36018 bytes, at most 32768") {
		t.Errorf("too much: %v", err)
	}
}
