package link

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	labelPattern   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)
	wordPattern    = regexp.MustCompile(`^[^" =]+(="[^"]+"|=[^" ]+)?$`)
	decimalPattern = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
)

// line is one line of a descriptor. Its methods take attributes out; fault is the
// first thing that was wrong with one.
type line struct {
	keyword string
	attrs   map[string]string // a key without a value has the value ""
	fault   error
}

// parseLine splits a line into its keyword and attributes.
func parseLine(s string) (*line, error) {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return nil, errors.New("bytes that are no text")
	}
	words := splitWords(s)
	l := &line{keyword: words[0], attrs: map[string]string{}}
	for i, w := range words {
		if !wordPattern.MatchString(w) || i == 0 && strings.Contains(w, "=") {
			return nil, fmt.Errorf("%q is no keyword, key or key=value", w)
		}
		key, value, _ := strings.Cut(w, "=")
		if _, twice := l.attrs[key]; twice {
			return nil, fmt.Errorf("%s stands twice", key)
		}
		if i > 0 {
			l.attrs[key] = strings.Trim(value, `"`)
		}
	}
	return l, nil
}

// splitWords splits at spaces that are not in quotes.
func splitWords(s string) []string {
	var words []string
	start, quoted := 0, false
	for i, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			words = append(words, s[start:i])
			start = i + 1
		}
	}
	return append(words, s[start:])
}

func (l *line) fail(format string, args ...any) {
	if l.fault == nil {
		l.fault = fmt.Errorf(format, args...)
	}
}

// need is the value of an attribute that must be there and match the pattern.
func (l *line) need(key string, pattern *regexp.Regexp) string {
	value, ok := l.attrs[key]
	if !ok || !pattern.MatchString(value) {
		l.fail("%s needs %s=…, which matches %s, not %q", l.keyword, key, pattern, value)
	}
	return value
}

func (l *line) label(key string) string { return l.need(key, labelPattern) }

func (l *line) version(key string) Version {
	v, err := ParseVersion(l.attrs[key])
	if err != nil {
		l.fail("%s needs %s=MAJOR.MINOR.PATCH: %w", l.keyword, key, err)
	}
	return v
}

func (l *line) id() uint8 {
	n, err := strconv.ParseUint(l.attrs["id"], 10, 8)
	if err != nil {
		l.fail("%s needs id=0…255, not %q", l.keyword, l.attrs["id"])
	}
	return uint8(n)
}

func (l *line) millis(key string) uint32 {
	s, ok := l.attrs[key]
	n, err := strconv.ParseUint(s, 10, 32)
	if ok && err != nil {
		l.fail("%s must be a number of ms, not %q", key, s)
	}
	return uint32(n)
}

func (l *line) flag(key string) bool {
	value, ok := l.attrs[key]
	if value != "" {
		l.fail("%s takes no value", key)
	}
	return ok
}

func (l *line) action() Action {
	return Action{
		ID: l.id(), Name: l.need("name", namePattern), Help: l.attrs["help"],
		Idempotent: l.flag("idempotent"), Lease: l.flag("lease"), Timeout: l.millis("timeout"),
	}
}

func (l *line) field() Field {
	f := Field{Name: l.need("name", namePattern), Unit: l.attrs["unit"], Help: l.attrs["help"]}
	kind := slices.Index(kindNames[:], l.attrs["type"])
	if kind <= int(None) {
		l.fail("%s needs type=bool, int, float or text, not %q", l.keyword, l.attrs["type"])
		return f
	}
	f.Kind = Kind(kind)
	f.Min, f.Max = l.bound(f.Kind, "min"), l.bound(f.Kind, "max")
	if f.Min != nil && f.Max != nil && *f.Min > *f.Max {
		l.fail("min is above max")
	}
	if choices, ok := l.attrs["oneof"]; ok {
		f.OneOf = strings.Split(choices, ",")
		if f.Kind != Text || slices.Contains(f.OneOf, "") {
			l.fail("oneof is for text, and lists texts joined by commas")
		}
	}
	return f
}

func (l *line) bound(kind Kind, key string) *float64 {
	s, ok := l.attrs[key]
	if !ok {
		return nil
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !decimalPattern.MatchString(s) || kind != Int && kind != Float {
		l.fail("%s must be a decimal number, of type int or float, not %q", key, s)
	}
	return &x
}

// safe is the value of an output in the safe state.
func (l *line) safe(f Field) *Value {
	s, ok := l.attrs["safe"]
	if !ok {
		return nil
	}
	v, err := parseValue(f.Kind, s)
	if err != nil || f.Kind == Text && len(f.OneOf) > 0 && !slices.Contains(f.OneOf, s) {
		l.fail("safe must be of type %v, and one that is allowed, not %q", f.Kind, s)
	}
	return &v
}

// parseValue reads a value as a descriptor writes it.
func parseValue(kind Kind, s string) (Value, error) {
	switch kind {
	case Bool:
		if s != "true" && s != "false" {
			return Value{}, fmt.Errorf("%q is neither true nor false", s)
		}
		return BoolValue(s == "true"), nil
	case Int:
		n, err := strconv.ParseInt(s, 10, 32)
		return IntValue(int32(n)), err
	case Float:
		x, err := strconv.ParseFloat(s, 32)
		if !decimalPattern.MatchString(s) {
			return Value{}, fmt.Errorf("%q is no decimal number", s)
		}
		return FloatValue(float32(x)), err
	default:
		return TextValue(s), nil
	}
}
