package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// CheckTags tells whether the tags of a config struct, and of those in it, are
// right: types, defaults, bounds, patterns. It is for tests; Decode reports
// the same as a fault of the program.
func CheckTags(target any) error {
	t := reflect.TypeOf(target)
	if t == nil || leaf(t).Kind() != reflect.Struct {
		return fmt.Errorf("%T is no struct", target)
	}
	return checkTags(leaf(t), nil)
}

func checkTags(t reflect.Type, outer []reflect.Type) error {
	if slices.Contains(outer, t) {
		return fmt.Errorf("%v holds itself", t)
	}
	fields, err := fieldsOf(t)
	faults := []error{err}
	seen := make(map[string]bool)
	for _, f := range fields {
		if seen[f.name] {
			faults = append(faults, fmt.Errorf("%v: two fields are named %s", t, f.name))
		}
		seen[f.name] = true
		if isSection(leaf(f.typ)) {
			faults = append(faults, checkTags(leaf(f.typ), append(outer, t)))
		}
	}
	return errors.Join(faults...)
}
