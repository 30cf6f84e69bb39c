package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// ByID is an object that stands for a list of sections with a key id: each key of it
// is such an id.
type ByID map[string]any

// Overlay lays an object over the section, as JSON has it, and returns what comes of
// it; the section itself stays as it is. An object lies over a section key by key, at
// any depth, and a ByID over a list entry by entry; null takes out what the section
// has there, and must find something; everything else takes its place.
//
// What comes from the object has its place below path in errors, and means what stands
// there: its texts are never interpolated, so that they reach no file of this machine.
// The error is an Errors; what is right is laid over in any case.
func (s *Section) Overlay(path string, object map[string]any) (*Section, error) {
	src, n := s.parts()
	o := overlay{src: src}
	laid := o.section(n, object, path)
	return &Section{src: src, node: laid}, o.errs.sorted()
}

type overlay struct {
	src  *source
	errs Errors
}

func (o *overlay) fault(path, problem string) {
	o.errs = append(o.errs, o.src.fault(0, 0, path, problem))
}

const nothingToTakeOut = "the config has nothing here that could be taken out"

func (o *overlay) section(base *node, object map[string]any, path string) *node {
	n := &node{form: mapping, line: base.line, column: base.column, path: path, entries: slices.Clone(base.entries)}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := below(path, key)
		i := slices.IndexFunc(n.entries, func(e entry) bool { return e.key == key })
		under := &node{}
		if i >= 0 {
			under = n.entries[i].value
		}
		switch value := object[key]; {
		case value == nil && i < 0:
			o.fault(at, nothingToTakeOut)
		case value == nil:
			n.entries = slices.Delete(n.entries, i, i+1)
		case i < 0:
			n.entries = append(n.entries, entry{key: key, value: o.value(under, value, at)})
		default:
			n.entries[i].value = o.value(under, value, at)
		}
	}
	return n
}

func (o *overlay) value(base *node, value any, path string) *node {
	switch value := value.(type) {
	case nil:
		return &node{path: path}
	case map[string]any:
		return o.section(base, value, path)
	case ByID:
		return o.list(base, value, path)
	case []any:
		n := &node{form: list, path: path}
		for i, item := range value {
			n.items = append(n.items, o.value(&node{}, item, fmt.Sprintf("%s[%d]", path, i)))
		}
		return n
	case string:
		return &node{form: scalar, path: path, raw: value, text: value}
	default:
		text, _ := json.Marshal(value) // a number or a boolean, as it was written
		return &node{form: scalar, path: path, raw: string(text), text: string(text), plain: true}
	}
}

func (o *overlay) list(base *node, object ByID, path string) *node {
	n := &node{form: list, line: base.line, column: base.column, path: path, items: slices.Clone(base.items)}
	for _, id := range slices.Sorted(maps.Keys(object)) {
		at := below(path, id)
		i := slices.IndexFunc(n.items, func(item *node) bool {
			has := item.get("id")
			return has != nil && has.text == id
		})
		under := &node{entries: []entry{{key: "id", value: o.value(nil, id, below(at, "id"))}}}
		if i >= 0 {
			under = n.items[i]
		}
		item, isObject := object[id].(map[string]any)
		_, renamed := item["id"]
		switch {
		case object[id] == nil && i < 0:
			o.fault(at, nothingToTakeOut)
		case object[id] == nil:
			n.items = slices.Delete(n.items, i, i+1)
		case !isObject:
			o.fault(at, "is no object; want one with the keys of an entry")
		case renamed:
			o.fault(below(at, "id"), "the name of the object is the id; leave it out")
		case i < 0:
			n.items = append(n.items, o.section(under, item, at))
		default:
			n.items[i] = o.section(under, item, at)
		}
	}
	return n
}
