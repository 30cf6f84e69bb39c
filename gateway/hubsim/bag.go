package hubsim

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// property is one pair of a property bag.
type property struct{ name, value string }

// parseBag reads the property bag at the end of a topic. Names of system
// properties come as "$.mid" or "%24.mid". A name without = has the value "".
func parseBag(s string) ([]property, error) {
	if s == "" {
		return nil, nil
	}
	bag := make([]property, 0, strings.Count(s, "&")+1)
	for pair := range strings.SplitSeq(s, "&") {
		p, err := parsePair(pair)
		if err != nil {
			return nil, err
		}
		for _, other := range bag {
			if other.name == p.name {
				return nil, fmt.Errorf("property %.40q is there twice", p.name)
			}
		}
		bag = append(bag, p)
	}
	return bag, nil
}

func parsePair(pair string) (p property, err error) {
	left, right, _ := strings.Cut(pair, "=")
	if strings.ContainsAny(pair, "+#") || strings.Contains(right, "=") {
		return p, fmt.Errorf("property %.40q: + # and = must be percent-encoded", pair)
	}
	if p.name, err = url.PathUnescape(left); err != nil {
		return p, fmt.Errorf("property name %.40q: %w", left, err)
	}
	if p.value, err = url.PathUnescape(right); err != nil {
		return p, fmt.Errorf("property %.40q: %w", p.name, err)
	}
	if !utf8.ValidString(p.name) || !utf8.ValidString(p.value) {
		return p, fmt.Errorf("property %.40q is not UTF-8", pair)
	}
	if p.name == "" {
		return p, fmt.Errorf("property %.40q has no name", pair)
	}
	return p, nil
}

// encodeBag writes a property bag. Everything that could mean something in a
// topic is percent-encoded: device SDKs drop what follows a bare slash.
func encodeBag(bag []property) string {
	var b strings.Builder
	for i, p := range bag {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(p.name))
		b.WriteByte('=')
		b.WriteString(escape(p.value))
	}
	return b.String()
}

// escape percent-encodes as encodeURIComponent of JavaScript does, or more. A
// space becomes %20: receivers do not read + as one.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
