package config

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
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
		if near := nearest(e.key, known); near != "" {
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

// value decodes what stands behind a key or in a list.
func (d *decoder) value(n *node, v reflect.Value, f *field) {
	t := v.Type()
	switch {
	case t == sectionType:
		if n.form != mapping && n.form != empty {
			d.wrongForm(n, t, f)
			return
		}
		v.Set(reflect.ValueOf(Section{src: d.src, node: n}))
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(n, v.Elem(), f)
	case isSection(t):
		d.section(n, v)
	case t.Kind() == reflect.Map:
		d.table(n, v, f)
	case t.Kind() == reflect.Slice:
		d.list(n, v, f)
	case n.form != scalar:
		d.wrongForm(n, t, f)
	case n.fault != "":
		d.fault(n, n.fault)
	default:
		d.scalar(n, v, f)
	}
}

func (d *decoder) wrongForm(n *node, t reflect.Type, f *field) {
	is := "is empty"
	if n.form != empty {
		is = "is " + n.form.String()
	}
	d.fault(n, is+"; want "+f.wanted(t))
}

func (d *decoder) table(n *node, v reflect.Value, f *field) {
	if n.form != mapping && n.form != empty {
		d.wrongForm(n, v.Type(), f)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	for _, e := range n.entries {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, item, f)
		v.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), item)
	}
}

// list leaves out the items that are wrong.
func (d *decoder) list(n *node, v reflect.Value, f *field) {
	if n.form != list {
		d.wrongForm(n, v.Type(), f)
		return
	}
	items := reflect.MakeSlice(v.Type(), 0, len(n.items))
	for _, item := range n.items {
		if item.form == empty {
			d.wrongForm(item, v.Type().Elem(), f)
			continue
		}
		before := len(d.errs)
		one := reflect.New(v.Type().Elem()).Elem()
		if d.value(item, one, f); len(d.errs) == before {
			items = reflect.Append(items, one)
		}
	}
	v.Set(items)
}

// scalar decodes a single value and holds it against the rules of its field.
// A value is shown in the error only if it stands in the file and is no secret.
func (d *decoder) scalar(n *node, v reflect.Value, f *field) {
	secret := v.Type() == secretType
	what := quote(n.raw)
	switch {
	case secret:
		what = "the secret"
	case n.foreign:
		what = "the value of " + what
	}
	why := set(v, n)
	if why == nil {
		why = f.check(v)
	}
	if secret {
		d.keep(n.text)
	}
	switch {
	case why == nil:
	case n.text == "":
		d.fault(n, "is empty; want "+f.wanted(v.Type()))
	default:
		reason := ""
		if why != errShape {
			reason = ": " + why.Error()
		}
		if near := nearest(n.text, f.oneof); near != "" && !secret && !n.foreign {
			reason = fmt.Sprintf(" (did you mean %s?)", near)
		}
		d.fault(n, fmt.Sprintf("%s is not allowed%s; want %s", what, reason, f.wanted(v.Type())))
	}
}

// keep remembers a secret, so that the words of a Validate do not show it.
func (d *decoder) keep(secret string) {
	if len(secret) >= leastHidden && d.hidden[secret] == "" {
		d.hidden[secret] = redacted
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
