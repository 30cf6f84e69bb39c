package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Section is a part of a config file: keys and values, and where they stand.
// The zero Section is empty. A Section does not change, so that goroutines may
// share it.
type Section struct {
	src  *source
	node *node
}

func (s *Section) parts() (*source, *node) {
	if s.node == nil {
		return &source{}, &node{}
	}
	return s.src, s.node
}

// Text returns the value of a key as text, false if the key is absent or has
// no single value. A value that cannot be interpolated comes as it stands in
// the file; Decode says what is wrong with it.
func (s *Section) Text(key string) (string, bool) {
	_, n := s.parts()
	v := n.get(key)
	switch {
	case v == nil || v.form != scalar:
		return "", false
	case v.fault != "":
		return v.raw, true
	default:
		return v.text, true
	}
}

// HasKey tells whether a struct, given by a pointer, is one that Decode puts a key
// into.
func HasKey(target any, key string) bool {
	fields, _ := fieldsOf(leaf(reflect.TypeOf(target)))
	return slices.Contains(names(fields), key)
}

// Errorf makes an error at a field of the section, such as id or
// lanes.alerts.ttl; at the section itself if the field is not there. Values
// that were interpolated do not show in it.
func (s *Section) Errorf(field, format string, args ...any) error {
	src, n := s.parts()
	return src.faultAt(n, field, hide(fmt.Sprintf(format, args...), src.hidden))
}

// Place gives each gateway.FieldError in err its place, as Decode does with what
// a Validate returns.
func (s *Section) Place(err error) error {
	src, n := s.parts()
	var all Errors
	for _, fault := range faultsOf(err) {
		all = append(all, src.faultAt(n, fault.Field, hide(fault.Problem, src.hidden)))
	}
	return all.sorted()
}

// faultAt makes an error at a field of a section, or as near as there is one.
func (s *source) faultAt(n *node, field, problem string) *Error {
	at, found := n.find(field)
	path := at.path
	switch {
	case found:
	case n.path == "" || strings.HasPrefix(field, "["):
		path = n.path + field
	default:
		path = n.path + "." + field
	}
	return s.fault(at.line, at.column, path, problem)
}

// hide puts into a text the names of values in place of the values.
func hide(text string, names map[string]string) string {
	values := make([]string, 0, len(names))
	for value := range names {
		values = append(values, value)
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, value := range values {
		quoted := strings.Trim(strconv.Quote(value), `"`)
		pairs = append(pairs, value, names[value], quoted, names[value])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Decode puts the section into structs, given by pointers, that share its
// keys, and calls their Validate. A key that none of them has is an error. All
// errors come at once, as Errors; what is right is decoded in any case.
func (s *Section) Decode(targets ...any) error {
	src, n := s.parts()
	d := newDecoder(src)
	values := make([]reflect.Value, 0, len(targets))
	for _, target := range targets {
		v := reflect.ValueOf(target)
		if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
			d.fault(n, fmt.Sprintf("a fault of the program, not of the file: a section cannot be decoded into %T; want a pointer to a struct", target))
			continue
		}
		values = append(values, v.Elem())
	}
	d.section(n, values...)
	return d.errs.sorted()
}
