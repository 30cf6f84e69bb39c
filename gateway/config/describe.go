package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Describe gives what a decoded struct says by the keys of the file, for people
// and encoders: what is in force, defaults included. Secrets are hidden, and so is
// the query of a URL, which may hold one; sections that are left to another Decode
// are left out.
func Describe(v any) any { return describe(reflect.ValueOf(v)) }

func describe(v reflect.Value) any {
	switch {
	case !v.IsValid():
		return nil
	case v.Type() == durationType:
		return time.Duration(v.Int()).String()
	case v.Type() == secretType && v.Len() > 0:
		return redacted
	case v.Type() == secretType:
		return ""
	case v.Type() == valueType:
		return v.Interface()
	case v.Type() == percentType:
		return fmt.Sprintf("%v%%", v.Interface())
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return describe(v.Elem())
	case reflect.Struct:
		return describeStruct(v)
	case reflect.String:
		return withoutQuery(v.String())
	case reflect.Slice:
		list := make([]any, 0, v.Len())
		for i := range v.Len() {
			list = append(list, describe(v.Index(i)))
		}
		return list
	case reflect.Map:
		table := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			table[key.String()] = describe(value)
		}
		return table
	default:
		return v.Interface()
	}
}

func withoutQuery(s string) string {
	if head, _, found := strings.Cut(s, "?"); found && strings.Contains(head, "://") {
		return head + "?" + redacted
	}
	return s
}

func describeStruct(v reflect.Value) map[string]any {
	fields, _ := fieldsOf(v.Type()) // tests look for tags that are wrong
	said := make(map[string]any, len(fields))
	for _, f := range fields {
		if leaf(f.typ) != sectionType {
			said[f.name] = describe(v.FieldByIndex(f.index))
		}
	}
	return said
}
