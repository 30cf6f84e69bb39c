package iothub

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// property is one pair of a property bag. System properties begin with "$.".
type property struct{ name, value string }

// encodeBag writes properties as the last part of a topic.
func encodeBag(properties []property) string {
	var b strings.Builder
	for i, p := range properties {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(p.name))
		b.WriteByte('=')
		b.WriteString(escape(p.value))
	}
	return b.String()
}

// parseBag reads a property bag. A name without = has the value "". The names
// of system properties come encoded or plain, and once each.
func parseBag(s string) (map[string]string, error) {
	bag := map[string]string{}
	if s == "" {
		return bag, nil
	}
	for pair := range strings.SplitSeq(s, "&") {
		left, right, _ := strings.Cut(pair, "=")
		name, err := url.PathUnescape(left)
		if err != nil {
			return nil, fmt.Errorf("property name %.40q: %w: %w", left, err, gateway.ErrInvalid)
		}
		value, err := url.PathUnescape(right)
		if err != nil {
			return nil, fmt.Errorf("property %.40q: %w: %w", name, err, gateway.ErrInvalid)
		}
		if _, twice := bag[name]; twice {
			return nil, fmt.Errorf("property %.40q is there twice: %w", name, gateway.ErrInvalid)
		}
		bag[name] = value
	}
	return bag, nil
}
