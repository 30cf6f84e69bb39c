package lines

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// errUnmatched is a line that no pattern matches.
var errUnmatched = errors.New("no pattern matches")

// format is how the lines of a device are read.
type format struct {
	latin1, comma bool
	matchers      []matcher
}

// decode gives the readings of a line.
func (f format) decode(line []byte) ([]gateway.Reading, error) {
	text, err := f.text(line)
	if err != nil {
		return nil, err
	}
	for _, m := range f.matchers {
		if groups := m.match.FindStringSubmatchIndex(text); groups != nil {
			return f.readings(m, text, groups)
		}
	}
	return nil, errUnmatched
}

func (f format) text(line []byte) (string, error) {
	if !f.latin1 {
		if !utf8.Valid(line) {
			return "", fmt.Errorf("not UTF-8: %w", gateway.ErrInvalid)
		}
		return string(line), nil
	}
	runes := make([]rune, len(line)) // Latin-1 is the first 256 code points
	for i, b := range line {
		runes[i] = rune(b)
	}
	return string(runes), nil
}

// readings takes the groups of a match; bounds are those of FindSubmatchIndex.
// A group that took no part is no reading.
func (f format) readings(m matcher, text string, bounds []int) ([]gateway.Reading, error) {
	var all []gateway.Reading
	for i, q := range m.groups {
		if q.Name == "" || bounds[2*i] < 0 {
			continue
		}
		value, err := f.value(q, text[bounds[2*i]:bounds[2*i+1]])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.Name, err)
		}
		all = append(all, gateway.Reading{Name: q.Name, Value: value, Unit: q.Unit})
	}
	return all, nil
}

func (f format) value(q Quantity, text string) (gateway.Value, error) {
	switch q.Type {
	case "text":
		return gateway.Text(text), nil
	case "bool":
		is := func(one string) bool { return strings.EqualFold(one, strings.TrimSpace(text)) }
		switch {
		case slices.ContainsFunc(q.True, is):
			return gateway.Bool(true), nil
		case slices.ContainsFunc(q.False, is):
			return gateway.Bool(false), nil
		}
		return gateway.Value{}, fmt.Errorf("%q is neither true nor false: %w", text, gateway.ErrInvalid)
	default:
		return f.number(text)
	}
}

// number reads a number that may have blanks around it and behind its sign, as
// scales send it.
func (f format) number(text string) (gateway.Value, error) {
	digits := strings.TrimSpace(text)
	if sign, rest, blank := strings.Cut(digits, " "); blank && (sign == "+" || sign == "-") {
		digits = sign + strings.TrimSpace(rest)
	}
	if f.comma {
		digits = strings.Replace(digits, ",", ".", 1)
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return gateway.Value{}, fmt.Errorf("%q is no number: %w", text, gateway.ErrInvalid)
	}
	return gateway.Number(n), nil
}
