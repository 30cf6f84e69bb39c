package hubsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// query is the subset of IoT Hub's query language that is simulated:
//
//	SELECT * FROM devices [WHERE condition]
//	SELECT * FROM devices.modules [WHERE condition]
//
// A condition compares (= != <> < <= > >=) paths such as tags.site or
// properties.reported.battery with strings, numbers, true, false and null, or
// looks for them in a list (IN, NIN); is_defined(path) asks whether there is
// something. AND, OR, NOT and parentheses join conditions. Anything else is
// refused: a wrong answer would be worse.
type query struct {
	modules bool      // instead of devices
	where   condition // nil is all
}

// condition judges a twin as back ends see it.
type condition func(twin map[string]any) truth

// truth is that of SQL: a comparison with what is not there is neither.
type truth int8

const (
	no      truth = -1
	unknown truth = 0
	yes     truth = 1
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// matches reports whether a twin is wanted.
func (q query) matches(twin map[string]any) bool { return q.where == nil || q.where(twin) == yes }

// tokenForm is one word of a query, after white space.
var tokenForm = regexp.MustCompile(`^\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+\-]*|[A-Za-z_$][A-Za-z0-9_$]*|<>|!=|<=|>=|[=<>*.,()\[\]])`)

// maxQueryDepth bounds parentheses and NOTs in each other.
const maxQueryDepth = 50

// parseQuery reads a query.
func parseQuery(text string) (q query, err error) {
	p := &queryParser{}
	rest := text
	for strings.TrimSpace(rest) != "" {
		m := tokenForm.FindStringSubmatch(rest)
		if m == nil {
			return q, fmt.Errorf("query: %.40q is not understood", strings.TrimSpace(rest))
		}
		p.words = append(p.words, m[1])
		rest = rest[len(m[0]):]
	}
	for _, word := range []string{"SELECT", "*", "FROM", "devices"} {
		if !p.accept(word) {
			return q, fmt.Errorf("query: %s is expected where %.40q stands; hubsim understands SELECT * FROM devices [WHERE …]", word, p.peek())
		}
	}
	if p.accept(".") {
		if q.modules = p.accept("modules"); !q.modules {
			return q, fmt.Errorf("query: devices.%.40s is not simulated", p.peek())
		}
	}
	if p.accept("WHERE") {
		if q.where, err = p.or(); err != nil {
			return q, fmt.Errorf("query: %w", err)
		}
	}
	if p.peek() != "" {
		return q, fmt.Errorf("query: %.40q is not simulated", p.peek())
	}
	return q, nil
}

// queryParser reads conditions word by word.
type queryParser struct {
	words []string
	depth int
}

// peek is the next word, "" at the end.
func (p *queryParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *queryParser) next() string {
	word := p.peek()
	if word != "" {
		p.words = p.words[1:]
	}
	return word
}

// accept takes the next word if it is this one, in any case.
func (p *queryParser) accept(word string) bool {
	if !strings.EqualFold(p.peek(), word) {
		return false
	}
	p.next()
	return true
}

func (p *queryParser) expect(word string) error {
	if !p.accept(word) {
		return fmt.Errorf("%s is expected where %.40q stands", word, p.peek())
	}
	return nil
}

func (p *queryParser) or() (condition, error) {
	left, err := p.and()
	for err == nil && p.accept("OR") {
		var right condition
		a := left
		if right, err = p.and(); err == nil {
			left = func(t map[string]any) truth { return max(a(t), right(t)) }
		}
	}
	return left, err
}

func (p *queryParser) and() (condition, error) {
	left, err := p.not()
	for err == nil && p.accept("AND") {
		var right condition
		a := left
		if right, err = p.not(); err == nil {
			left = func(t map[string]any) truth { return min(a(t), right(t)) }
		}
	}
	return left, err
}

func (p *queryParser) not() (condition, error) {
	if p.depth++; p.depth > maxQueryDepth {
		return nil, fmt.Errorf("more than %d levels", maxQueryDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept("NOT"):
		inner, err := p.not()
		if err != nil {
			return nil, err
		}
		return func(t map[string]any) truth { return -inner(t) }, nil
	case p.accept("("):
		inner, err := p.or()
		return inner, errors.Join(err, p.expect(")"))
	case p.accept("is_defined"):
		return p.defined()
	default:
		return p.comparison()
	}
}

func (p *queryParser) defined() (condition, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	path, err := p.path()
	return func(t map[string]any) truth {
		_, there := path(t)
		return truthOf(there)
	}, errors.Join(err, p.expect(")"))
}

func (p *queryParser) comparison() (condition, error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	operator := strings.ToUpper(p.next())
	if operator == "IN" || operator == "NIN" {
		return p.list(left, operator == "IN")
	}
	test, ok := map[string]func(int) bool{
		"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
		">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
		"=": nil, "!=": nil, "<>": nil,
	}[operator]
	if !ok {
		return nil, fmt.Errorf("%.20q is no comparison, want = != <> < <= > >= IN or NIN", operator)
	}
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	return func(t map[string]any) truth {
		a, here := left(t)
		b, there := right(t)
		switch {
		case !here || !there:
			return unknown
		case test == nil:
			return truthOf((order(a, b) == same) == (operator == "="))
		case order(a, b) == incomparable:
			return unknown
		default:
			return truthOf(test(order(a, b)))
		}
	}, nil
}

// list reads the list behind IN.
func (p *queryParser) list(left operand, in bool) (condition, error) {
	if err := p.expect("["); err != nil {
		return nil, err
	}
	var list []any
	for len(list) == 0 || p.accept(",") {
		v, ok := literal(p.next())
		if !ok {
			return nil, errors.New("a list holds strings, numbers, true, false and null alone")
		}
		list = append(list, v)
	}
	return func(t map[string]any) truth {
		v, here := left(t)
		if !here {
			return unknown
		}
		return truthOf(slices.ContainsFunc(list, func(other any) bool { return order(v, other) == same }) == in)
	}, p.expect("]")
}

// operand is one side of a comparison: a value, unless it is not there.
type operand func(twin map[string]any) (value any, there bool)

func (p *queryParser) operand() (operand, error) {
	if v, ok := literal(p.peek()); ok {
		p.next()
		return func(map[string]any) (any, bool) { return v, true }, nil
	}
	return p.path()
}

func literal(word string) (value any, ok bool) {
	switch strings.ToLower(word) {
	case "":
		return nil, false
	case "true":
		return true, true
	case "false":
		return false, true
	case "null":
		return nil, true
	}
	if quote := word[0]; quote == '\'' || quote == '"' {
		return unquote(word[1 : len(word)-1]), true
	}
	n, err := strconv.ParseFloat(word, 64)
	return n, err == nil && strings.IndexByte("-0123456789", word[0]) >= 0
}

// unquote takes out the backslashes in front of other characters.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

var nameForm = regexp.MustCompile(`^[A-Za-z_$]`)

// path reads names with dots between them. A path from the alias "devices"
// begins behind it.
func (p *queryParser) path() (operand, error) {
	var names []string
	for len(names) == 0 || p.accept(".") {
		name := p.next()
		if !nameForm.MatchString(name) {
			return nil, fmt.Errorf("a property or a value is expected where %.40q stands", name)
		}
		names = append(names, name)
	}
	if len(names) > 1 && names[0] == "devices" {
		names = names[1:]
	}
	return func(t map[string]any) (any, bool) {
		var value any = t
		for _, name := range names {
			object, ok := value.(map[string]any)
			if !ok {
				return nil, false
			}
			if value, ok = object[name]; !ok {
				return nil, false
			}
		}
		return value, true
	}, nil
}

const (
	same         = 0
	incomparable = 2
)

// order compares two values: negative, same, 1, or incomparable.
func order(a, b any) int {
	if a == nil && b == nil {
		return same
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok && x == y {
			return same
		}
	}
	x, first := number(a)
	y, second := number(b)
	switch {
	case !first || !second:
		return incomparable
	case x < y:
		return -1
	case x > y:
		return 1
	default:
		return same
	}
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	default:
		return 0, false
	}
}
