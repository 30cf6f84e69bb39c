package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// decoder puts nodes into Go values and collects what does not fit.
type decoder struct {
	src  *source
	errs Errors
	// hidden are the values not to be shown, by what stands in their place.
	hidden map[string]string
}

func newDecoder(src *source) *decoder {
	d := &decoder{src: src, hidden: make(map[string]string)}
	maps.Copy(d.hidden, src.hidden)
	return d
}

func (d *decoder) fault(n *node, problem string) {
	d.errs = append(d.errs, d.src.fault(n.line, n.column, n.path, problem))
}

// section decodes a mapping, or nothing, into structs.
func (d *decoder) section(n *node, targets ...reflect.Value) {
	var known []field
	right := make([]bool, len(targets))
	for i, v := range targets {
		before := len(d.errs)
		fields, err := fieldsOf(v.Type())
		if err != nil {
			d.fault(n, "a fault of the program, not of the file: "+err.Error())
		}
		if n.form != mapping && n.form != empty {
			d.fault(n, fmt.Sprintf("is %v; want a section with %s", n.form, strings.Join(names(fields), ", ")))
			return
		}
		for _, f := range fields {
			d.field(n, v.FieldByIndex(f.index), f)
		}
		known = append(known, fields...)
		right[i] = len(d.errs) == before
	}
	if d.unknown(n, names(known)) {
		return // a misspelt key was not seen by any Validate
	}
	for i, v := range targets {
		if right[i] {
			d.validate(n, v)
		}
	}
}

// unknown reports the keys that are not known, and whether there are any.
func (d *decoder) unknown(n *node, known []string) bool {
	isKnown := make(map[string]bool)
	for _, name := range known {
		isKnown[name] = true
	}
	found := false
	for _, e := range n.entries {
		if isKnown[e.key] {
			continue
		}
		found = true
		hint := ""
		if near := Nearest(e.key, known); near != "" {
			hint = fmt.Sprintf(" (did you mean %s?)", near)
		}
		problem := fmt.Sprintf("is not a key that is known here%s; want one of %s", hint, strings.Join(known, ", "))
		d.errs = append(d.errs, d.src.fault(e.line, e.column, below(n.path, e.key), problem))
	}
	return found
}

// field decodes one key of a section, or what stands for it if it is absent.
func (d *decoder) field(n *node, v reflect.Value, f field) {
	value := n.get(f.name)
	absent := &node{line: n.line, column: n.column, path: below(n.path, f.name)}
	switch {
	case value != nil:
		d.value(value, v, &f)
	case f.required:
		d.fault(absent, "is missing; want "+f.wanted(f.typ))
	case f.def != nil:
		d.value(f.def, v, &f)
	case isSection(f.typ):
		d.section(absent, v)
	}
}

// validate calls the struct's own check, if it has one, and places what it
// finds.
func (d *decoder) validate(n *node, v reflect.Value) {
	checked, ok := v.Addr().Interface().(interface{ Validate() error })
	if !ok {
		return
	}
	for _, fault := range faultsOf(checked.Validate()) {
		d.errs = append(d.errs, d.src.faultAt(n, fault.Field, hide(fault.Problem, d.hidden)))
	}
}

// faultsOf splits what a Validate returns into the field and the problem of
// each fault.
func faultsOf(err error) []gateway.FieldError {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if one, ok := e.(*gateway.FieldError); ok { //nolint:errorlint // the tree of errors is walked here
			return []gateway.FieldError{*one}
		}
		if parts, ok := joined(e); ok {
			var all []gateway.FieldError
			for _, part := range parts {
				all = append(all, faultsOf(part)...)
			}
			return all
		}
	}
	if err == nil {
		return nil
	}
	return []gateway.FieldError{{Problem: err.Error()}}
}
