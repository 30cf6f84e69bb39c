package config

import (
	"reflect"
	"strconv"
)

// single describes one value. A reference to a value from elsewhere may stand
// in its place.
func single(t reflect.Type, f *field) map[string]any {
	v := make(map[string]any)
	switch {
	case t == durationType:
		return map[string]any{"anyOf": orReference(map[string]any{"type": "string", "pattern": durationShape})}
	case t == bytesType:
		size := map[string]any{"type": []any{"string", "integer"}, "pattern": sizeShape, "minimum": 0}
		return map[string]any{"anyOf": orReference(size)}
	case t == rateType:
		rate := map[string]any{"type": []any{"string", "integer"}, "pattern": rateShape, "minimum": 0}
		return map[string]any{"anyOf": orReference(rate)}
	case t == frequencyType:
		return map[string]any{"anyOf": orReference(map[string]any{"type": "string", "pattern": frequencyShape})}
	case t == valueType:
		return map[string]any{"type": []any{"boolean", "number", "string"}}
	case t == percentType:
		return map[string]any{"anyOf": orReference(map[string]any{"type": "string", "pattern": percentShape})}
	case t.Kind() == reflect.String && f.oneof != nil:
		return map[string]any{"anyOf": orReference(map[string]any{"enum": anys(f.oneof)})}
	case t.Kind() == reflect.String:
		return text(t, f)
	case t.Kind() == reflect.Bool:
		v["type"] = "boolean"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		v["type"] = "number"
	default:
		v["type"] = "integer"
		least, most := wholeLimits(t)
		limit(v, "minimum", least)
		limit(v, "maximum", most)
	}
	limit(v, "minimum", f.minText)
	limit(v, "maximum", f.maxText)
	return map[string]any{"anyOf": orReference(v)}
}

// text describes text. What looks like a number is text too.
func text(t reflect.Type, f *field) map[string]any {
	v := map[string]any{"type": []any{"string", "number"}}
	if t == secretType {
		v["writeOnly"] = true
	}
	if f.required {
		v["minLength"] = 1
	}
	if f.pattern == nil {
		return v
	}
	v["pattern"] = f.pattern.String()
	return map[string]any{"anyOf": orReference(v)}
}

func orReference(v map[string]any) []any {
	return []any{v, map[string]any{"$ref": "#/$defs/reference"}}
}

// limit sets a bound; texts of tags are read as whole numbers with their
// prefixes, or as fractions.
func limit(v map[string]any, name, text string) {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		v[name] = n
	} else if x, err := strconv.ParseFloat(text, 64); err == nil {
		v[name] = x
	}
}

// plain is a value in terms of JSON.
func plain(n *node, t reflect.Type) any {
	switch n.form {
	case list:
		items := []any{}
		for _, item := range n.items {
			items = append(items, plain(item, leaf(t)))
		}
		return items
	case mapping:
		object := make(map[string]any)
		for _, e := range n.entries {
			object[e.key] = plain(e.value, leaf(t))
		}
		return object
	case empty:
		return nil
	}
	if t = leaf(t); hasUnit(t) || !isSingle(t) {
		return n.text
	}
	v := reflect.New(t).Elem()
	if set(v, n) != nil { // an example may be a reference
		return n.text
	}
	switch {
	case v.Kind() == reflect.String:
		return n.text
	default:
		return v.Interface()
	}
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, s := range texts {
		all[i] = s
	}
	return all
}
