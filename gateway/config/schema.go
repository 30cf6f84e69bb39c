package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Variants are the kinds of section that a list or a table of sections holds,
// told apart by one key.
type Variants struct {
	// Key is the key that says which kind a section is.
	Key string
	// Common is a struct with the keys that all kinds have, Key among them.
	Common any
	// Cases are structs with the keys of each kind, by the value of Key.
	Cases map[string]any
}

// Schema returns the JSON Schema (draft 2020-12) of a config file, from the
// tags that Decode goes by. root is the struct of the file; variants are for
// its fields of several sections, by their tag variants. What Decode takes is valid under
// it, but for the texts true and false, which editors want in quotes. Decode
// finds more: the bounds of values with units, and what Validate knows.
func Schema(root any, variants map[string]Variants) map[string]any {
	s := schema{defs: map[string]any{
		"reference": map[string]any{
			"type":        "string",
			"pattern":     `\$\{(env|file|credential):[^}]+\}`,
			"description": "A value from elsewhere: " + references + ".",
		},
	}, variants: variants}
	top := s.section(leaf(reflect.TypeOf(root)), nil)
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["type"] = "object"
	top["$defs"] = s.defs
	return top
}

type schema struct {
	defs     map[string]any
	variants map[string]Variants
}

// section describes a struct. Nothing behind its key means all defaults.
func (s *schema) section(t reflect.Type, outer []reflect.Type) map[string]any {
	if slices.Contains(outer, t) {
		return map[string]any{"type": "object"}
	}
	fields, _ := fieldsOf(t)
	return s.object(fields, append(outer, t))
}

func (s *schema) object(fields []field, outer []reflect.Type) map[string]any {
	properties := make(map[string]any)
	required := []any{}
	for _, f := range fields {
		properties[f.name] = s.property(&f, outer)
		if f.required && !slices.Contains(required, any(f.name)) {
			required = append(required, f.name)
		}
	}
	object := map[string]any{
		"type":                 []any{"object", "null"},
		"properties":           properties,
		"additionalProperties": false,
	}
	if len(required) > 0 {
		object["type"] = "object"
		object["required"] = required
	}
	return object
}

// property describes one key.
func (s *schema) property(f *field, outer []reflect.Type) map[string]any {
	var p map[string]any
	if v, ok := s.variants[f.variants]; ok {
		p = map[string]any{"type": "array", "items": s.cases(f.variants, v)}
		if f.typ == sectionsType {
			p = map[string]any{"type": []any{"object", "null"}, "additionalProperties": s.cases(f.variants, v)}
		}
	} else {
		p = s.value(f.typ, f, outer)
	}
	doc := []string{}
	if f.doc != "" {
		doc = append(doc, strings.TrimSuffix(f.doc, ".")+".")
	}
	if t := leaf(f.typ); hasUnit(t) {
		if limits := between(f.minText, f.maxText); limits != "" {
			doc = append(doc, "A value"+limits+".")
		}
	}
	if len(doc) > 0 {
		p["description"] = strings.Join(doc, " ")
	}
	if f.def != nil {
		p["default"] = plain(f.def, f.typ)
	}
	if f.example != "" {
		n := &node{form: scalar, raw: f.example, text: f.example, plain: true}
		p["examples"] = []any{plain(n, leaf(f.typ))}
	}
	return p
}

// value describes what stands behind a key or in a list.
func (s *schema) value(t reflect.Type, f *field, outer []reflect.Type) map[string]any {
	switch {
	case t == sectionType:
		return map[string]any{"type": []any{"object", "null"}}
	case t.Kind() == reflect.Pointer:
		return s.value(t.Elem(), f, outer)
	case t.Kind() == reflect.Slice && f.lone:
		one := s.value(t.Elem(), f, outer)
		return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": s.value(t.Elem(), f, outer)}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": []any{"object", "null"}, "additionalProperties": s.value(t.Elem(), f, outer)}
	case isSection(t):
		return s.section(t, outer)
	default:
		return single(t, f)
	}
}

// cases describes sections of several kinds. The keys that all share stand
// first, for editors that are asked before the kind is known.
func (s *schema) cases(name string, v Variants) map[string]any {
	common, _ := fieldsOf(leaf(reflect.TypeOf(v.Common)))
	all := s.object(common, nil)
	delete(all, "additionalProperties")
	all["type"] = "object"
	kinds := slices.Sorted(maps.Keys(v.Cases))
	var choices []any
	for _, kind := range kinds {
		own, _ := fieldsOf(leaf(reflect.TypeOf(v.Cases[kind])))
		whole := s.object(slices.Concat(common, own), nil) // a kind may say more of a key that all have
		whole["type"] = "object"
		def := name + "." + kind
		s.defs[def] = whole
		choices = append(choices, map[string]any{
			"if": map[string]any{
				"properties": map[string]any{v.Key: map[string]any{"const": kind}},
				"required":   []any{v.Key},
			},
			"then": map[string]any{"$ref": "#/$defs/" + def},
		})
	}
	if key, ok := all["properties"].(map[string]any)[v.Key].(map[string]any); ok {
		delete(key, "type")
		delete(key, "minLength")
		key["anyOf"] = orReference(map[string]any{"enum": anys(kinds)})
	}
	all["allOf"] = choices
	return all
}
