package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

var (
	durationType  = reflect.TypeFor[time.Duration]()
	bytesType     = reflect.TypeFor[Bytes]()
	rateType      = reflect.TypeFor[Rate]()
	frequencyType = reflect.TypeFor[Frequency]()
	percentType   = reflect.TypeFor[Percent]()
	secretType    = reflect.TypeFor[Secret]()
	valueType     = reflect.TypeFor[gateway.Value]()
	sectionType   = reflect.TypeFor[Section]()
	sectionsType  = reflect.TypeFor[map[string]Section]()
)

// field is one key that a struct knows, from the tags of one of its fields.
type field struct {
	name, doc, example string
	index              []int
	typ                reflect.Type
	required           bool
	lone               bool   // a list of one may stand without brackets
	def                *node  // what stands for an absent key; nil: nothing
	variants           string // for Schema: which sections the list holds
	rules
}

func names(fields []field) []string {
	all := make([]string, 0, len(fields))
	for _, f := range fields {
		if !slices.Contains(all, f.name) {
			all = append(all, f.name)
		}
	}
	return all
}

// hasUnit tells whether a type is written as a number with a unit.
func hasUnit(t reflect.Type) bool {
	return t == durationType || t == bytesType || t == rateType || t == frequencyType || t == percentType
}

// isSection tells whether a type is a struct with keys of its own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != sectionType && t != valueType
}

// leaf is the type of the single values in lists and tables of a type.
func leaf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}

// fieldsOf reads the tags of a struct. The error is about tags, never about a
// file; the fields that are right come with it.
func fieldsOf(t reflect.Type) ([]field, error) {
	var fields []field
	var faults []error
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("yaml")
		switch {
		case name == "-" || !sf.IsExported() && !sf.Anonymous:
			continue
		case sf.Anonymous && name == "" && isSection(sf.Type):
			inner, err := fieldsOf(sf.Type)
			for _, f := range inner {
				f.index = append([]int{i}, f.index...)
				fields = append(fields, f)
			}
			faults = append(faults, err)
			continue
		}
		f, err := fieldOf(sf, name)
		if err != nil {
			faults = append(faults, fmt.Errorf("%v.%s: %w", t, sf.Name, err))
			continue
		}
		f.index = []int{i}
		fields = append(fields, f)
	}
	return fields, errors.Join(faults...)
}

func fieldOf(sf reflect.StructField, name string) (field, error) {
	f := field{
		name: name, typ: sf.Type, doc: sf.Tag.Get("doc"), example: sf.Tag.Get("example"), variants: sf.Tag.Get("variants"),
	}
	if !keyShape.MatchString(name) {
		return f, fmt.Errorf(`the tag yaml is %q; want a name of letters, digits, _ and -, or "-"`, name)
	}
	if err := decodable(sf.Type); err != nil {
		return f, err
	}
	switch required := sf.Tag.Get("required"); required {
	case "", "true":
		f.required = required == "true"
	default:
		return f, fmt.Errorf(`the tag required is %q; want "true" or none`, required)
	}
	switch lone := sf.Tag.Get("lone"); {
	case lone == "":
	case lone != "true" || sf.Type.Kind() != reflect.Slice || !isSingle(sf.Type.Elem()):
		return f, fmt.Errorf(`the tag lone is %q for %v; want "true" for a list of single values, or none`, lone, sf.Type)
	default:
		f.lone = true
	}
	if f.variants != "" && sf.Type != reflect.SliceOf(sectionType) && sf.Type != sectionsType {
		return f, fmt.Errorf("the tag variants is for []config.Section and map[string]config.Section, not for %v", sf.Type)
	}
	var err error
	if f.rules, err = rulesOf(sf.Tag, leaf(sf.Type)); err != nil {
		return f, err
	}
	if text, given := sf.Tag.Lookup("default"); given {
		f.def, err = f.standIn(text)
	}
	return f, err
}

// standIn makes the value of an absent key from the tag default, and tries it.
// Those of lists and tables are written as in YAML: [a, b].
func (f *field) standIn(text string) (*node, error) {
	if f.required {
		return nil, errors.New("a required key has no default")
	}
	n := &node{form: scalar, raw: text, text: text, plain: true}
	if leaf(f.typ) != f.typ && strings.HasPrefix(strings.TrimSpace(text), "[") || f.typ.Kind() == reflect.Map {
		b := builder{src: &source{}}
		body := b.document(text)
		if n = b.build(body, 0); b.errs != nil {
			return nil, fmt.Errorf("the tag default: %w", b.errs)
		}
		n.settle("", func(*node) {})
	}
	trial := newDecoder(&source{})
	trial.value(n, reflect.New(f.typ).Elem(), f)
	if trial.errs != nil {
		return nil, fmt.Errorf("the tag default: %w", trial.errs)
	}
	return n, nil
}

// decodable says why a type cannot stand in a config, nil if it can.
func decodable(t reflect.Type) error {
	switch {
	case t.Kind() == reflect.Map && t.Key().Kind() != reflect.String:
		return fmt.Errorf("the keys of %v are not strings", t)
	case isSingle(leaf(t)), leaf(t).Kind() == reflect.Struct:
		return nil
	default:
		return fmt.Errorf("the type %v cannot stand in a config", t)
	}
}

// isSingle tells whether a type is written as a single value.
func isSingle(t reflect.Type) bool {
	if t == valueType {
		return true
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	default:
		return false
	}
}
