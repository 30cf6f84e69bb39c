package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// rules are what tags demand of a single value, and of each in a list.
type rules struct {
	oneof            []string
	pattern          *regexp.Regexp
	words            string // what the pattern means
	min, max         reflect.Value
	minText, maxText string
}

func rulesOf(tag reflect.StructTag, t reflect.Type) (rules, error) {
	r := rules{words: tag.Get("want")}
	if oneof := tag.Get("oneof"); oneof != "" {
		r.oneof = strings.Split(oneof, "|")
	}
	if (r.oneof != nil || tag.Get("pattern") != "") && t.Kind() != reflect.String {
		return r, fmt.Errorf("the tags oneof and pattern are for text, not for %v", t)
	}
	var err error
	if pattern := tag.Get("pattern"); pattern != "" {
		if r.pattern, err = regexp.Compile(pattern); err != nil {
			return r, fmt.Errorf("the tag pattern: %w", err)
		}
		if r.words == "" {
			return r, errors.New("the tag pattern has no tag want beside it, which says it in words")
		}
	}
	if r.min, r.minText, err = bound(tag, "min", t); err != nil {
		return r, err
	}
	if r.max, r.maxText, err = bound(tag, "max", t); err != nil {
		return r, err
	}
	if r.min.IsValid() && r.max.IsValid() && compare(r.min, r.max) > 0 {
		return r, fmt.Errorf("the tag min, %s, is above the tag max, %s", r.minText, r.maxText)
	}
	return r, nil
}

// bound reads the tag min or max in the way that values are read.
func bound(tag reflect.StructTag, name string, t reflect.Type) (reflect.Value, string, error) {
	text, given := tag.Lookup(name)
	if !given {
		return reflect.Value{}, "", nil
	}
	if !isSingle(t) || t == valueType || t.Kind() == reflect.String || t.Kind() == reflect.Bool {
		return reflect.Value{}, "", fmt.Errorf("the tag %s is for numbers, durations and sizes, not for %v", name, t)
	}
	v := reflect.New(t).Elem()
	if err := set(v, &node{form: scalar, raw: text, text: text, plain: true}); err != nil {
		return reflect.Value{}, "", fmt.Errorf("the tag %s is %q, which is no %v", name, text, t)
	}
	return v, text, nil
}

// compare orders two values of one type of number.
func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	default:
		return cmp.Compare(a.Float(), b.Float())
	}
}

// check holds a decoded value against the rules.
func (f *field) check(v reflect.Value) error {
	if v.Kind() == reflect.String {
		switch s := v.String(); {
		case s == "" && f.required,
			f.oneof != nil && !slices.Contains(f.oneof, s),
			f.pattern != nil && !f.pattern.MatchString(s):
			return errShape
		}
		return nil
	}
	if f.min.IsValid() && compare(v, f.min) < 0 {
		return errLow
	}
	if f.max.IsValid() && compare(v, f.max) > 0 {
		return errHigh
	}
	return nil
}

// wanted says in words what may stand in a place of a type.
func (f *field) wanted(t reflect.Type) string {
	switch {
	case t == sectionType:
		return "a section"
	case t.Kind() == reflect.Pointer:
		return f.wanted(t.Elem())
	case t.Kind() == reflect.Slice && f.lone:
		return f.wanted(t.Elem()) + ", or a list of such"
	case t.Kind() == reflect.Slice:
		return "a list, each entry " + f.wanted(t.Elem())
	case t.Kind() == reflect.Map:
		return "a section of names, each with " + f.wanted(t.Elem())
	case isSection(t):
		inner, _ := fieldsOf(t)
		return "a section with " + strings.Join(names(inner), ", ")
	}
	return f.wantedValue(t)
}

// wantedValue says in words what a single value may be.
func (f *field) wantedValue(t reflect.Type) string {
	switch t {
	case durationType:
		return "a duration" + between(f.minText, f.maxText) + ", written as 500ms, 30s or 1h30m"
	case valueType:
		return "a number, true, false or text"
	case bytesType:
		return "a size" + between(f.minText, f.maxText) + ", written as 64kB, 512MB or 32MiB"
	case rateType:
		return "a rate" + between(f.minText, f.maxText) + ", written as 64kB or 64kB/s, both bytes per second"
	case frequencyType:
		return "a frequency" + between(f.minText, f.maxText) + ", written as 50Hz, 400kHz or 1.5MHz"
	case percentType:
		return "a share" + between(cmp.Or(f.minText, "0%"), cmp.Or(f.maxText, "100%")) + ", written as 80%"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return f.wantedText()
	case reflect.Float32, reflect.Float64:
		return "a number" + between(f.minText, f.maxText)
	default:
		least, most := wholeLimits(t)
		return "a whole number" + between(cmp.Or(f.minText, least), cmp.Or(f.maxText, most))
	}
}

func (f *field) wantedText() string {
	if f.oneof != nil {
		return alternatives(f.oneof)
	}
	return cmp.Or(f.words, "text")
}

func alternatives(of []string) string {
	last := len(of) - 1
	if last == 0 {
		return of[0]
	}
	return strings.Join(of[:last], ", ") + " or " + of[last]
}

// between says bounds in words.
func between(least, most string) string {
	switch {
	case least != "" && most != "":
		return fmt.Sprintf(" from %s to %s", least, most)
	case least != "":
		return " of at least " + least
	case most != "":
		return " of at most " + most
	default:
		return ""
	}
}
