package config

import (
	"errors"
	"fmt"
	"reflect"
)

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
	if n.form == mapping && len(n.entries) == 1 && isSingle(t) && wholeOrZero(n.entries[0].key) {
		is += ", since a time such as 06:30 needs quotes here"
	}
	d.fault(n, is+"; want "+f.wanted(t))
}

// wholeOrZero tells whether a key is a number, as that of 06:30 is.
func wholeOrZero(key string) bool { return wholeShape.MatchString(key) || zeroShape.MatchString(key) }

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
	all := n.items
	switch {
	case n.form == scalar && f.lone:
		all = []*node{n}
	case n.form != list:
		d.wrongForm(n, v.Type(), f)
		return
	}
	items := reflect.MakeSlice(v.Type(), 0, len(all))
	for _, item := range all {
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
		if !errors.Is(why, errShape) {
			reason = ": " + why.Error()
		}
		if near := Nearest(n.text, f.oneof); near != "" && !secret && !n.foreign {
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
