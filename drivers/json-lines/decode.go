package jsonlines

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxReadings bounds what one line can give.
	maxReadings = 256
	// maxDepth bounds how deep a path goes.
	maxDepth = 16
)

// decode gives the readings of a line, in the order of their paths.
func (c Config) decode(line []byte) ([]gateway.Reading, error) {
	var object map[string]any
	if err := json.Unmarshal(line, &object); err != nil {
		return nil, fmt.Errorf("no JSON object: %w: %w", err, gateway.ErrInvalid)
	}
	if object == nil { // null
		return nil, fmt.Errorf("no JSON object: %w", gateway.ErrInvalid)
	}
	members := make(map[string]any)
	if !flatten(members, "", object, maxDepth) {
		return nil, fmt.Errorf("more than %d objects in one another: %w", maxDepth, gateway.ErrInvalid)
	}
	var all []gateway.Reading
	names := make(map[string]bool)
	for _, path := range slices.Sorted(maps.Keys(members)) {
		q, listed := c.Readings[path]
		if !listed && c.Take != "all" {
			continue
		}
		value, err := q.value(members[path])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r := gateway.Reading{Name: q.nameOf(path), Value: value, Unit: q.Unit}
		if _, isNumber := value.Number(); !isNumber {
			r.Unit = ""
		}
		if names[r.Name] || len(all) == maxReadings { // as of "A" and "a"
			continue
		}
		names[r.Name] = true
		all = append(all, r)
	}
	return all, nil
}

// flatten lists what has a value, by its path; false if that goes too deep.
func flatten(members map[string]any, path string, value any, depth int) bool {
	below := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	shallow := depth >= 0
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			shallow = shallow && flatten(members, below(key), v, depth-1)
		}
	case []any:
		for i, v := range value {
			shallow = shallow && flatten(members, below(strconv.Itoa(i)), v, depth-1)
		}
	case nil:
	default:
		members[path] = value
	}
	return shallow
}

// nameOf makes the name of a reading of a path: the part before the first dot in
// lower case, with _ for what a name cannot have.
func (q Quantity) nameOf(path string) string {
	if q.Name != "" {
		return q.Name
	}
	first, rest, nested := strings.Cut(strings.ToLower(path), ".")
	first = strings.Map(clean, first)
	if first == "" || first[0] < 'a' || first[0] > 'z' {
		first = "m" + first // m as in member
	}
	rest = strings.Map(func(r rune) rune {
		if r == '.' || r == '-' {
			return r
		}
		return clean(r)
	}, rest)
	if !nested || rest == "" {
		return first
	}
	return first + "." + rest
}

func clean(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '_'
}

// value makes a value of a JSON number, text or bool.
func (q Quantity) value(v any) (gateway.Value, error) {
	switch q.Type {
	case "number":
		return asNumber(v)
	case "bool":
		if v == 0.0 || v == 1.0 {
			return gateway.Bool(v == 1.0), nil
		}
		b, is := v.(bool)
		if !is {
			return gateway.Value{}, fmt.Errorf("%v is neither true nor false: %w", v, gateway.ErrInvalid)
		}
		return gateway.Bool(b), nil
	case "text":
		return gateway.Text(asIs(v).String()), nil
	default:
		return asIs(v), nil
	}
}

func asNumber(v any) (gateway.Value, error) {
	if text, is := v.(string); is {
		n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return gateway.Number(n), nil
		}
	}
	n, is := v.(float64)
	if !is {
		return gateway.Value{}, fmt.Errorf("%v is no number: %w", v, gateway.ErrInvalid)
	}
	return gateway.Number(n), nil
}

func asIs(v any) gateway.Value {
	switch v := v.(type) {
	case bool:
		return gateway.Bool(v)
	case float64:
		return gateway.Number(v)
	case string:
		return gateway.Text(v)
	default: // flatten gives nothing else
		return gateway.Value{}
	}
}
