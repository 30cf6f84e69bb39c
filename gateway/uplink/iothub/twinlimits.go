package iothub

import (
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/fieldpost/fieldpost/gateway"
)

// What a hub takes as reported properties. Source: Microsoft, "Understand and
// use device twins in IoT Hub".
const (
	// MaxTwinBytes bounds keys and values together.
	MaxTwinBytes = 32 << 10
	// MaxTwinDepth is how many objects may lie in each other.
	MaxTwinDepth = 10
	// MaxTwinText bounds the bytes of one text, MaxTwinKey those of one key.
	MaxTwinText = 4 << 10
	MaxTwinKey  = 1 << 10
	// maxTwinInteger is the largest magnitude of an integer; larger ones are to
	// be sent as texts.
	maxTwinInteger = 1<<52 - 1
)

// checkTwin verifies that a hub takes an object as reported properties, which
// it would refuse as a whole. The error names the place and wraps
// gateway.ErrInvalid.
func checkTwin(object map[string]any) error {
	size, err := twinSize(object, "", 0)
	if err == nil && size > MaxTwinBytes {
		err = fmt.Errorf("%d bytes, at most %d are allowed", size, MaxTwinBytes)
	}
	if err != nil {
		return fmt.Errorf("reported properties: %w: %w", err, gateway.ErrInvalid)
	}
	return nil
}

// twinSize counts as the hub does: texts by their bytes, a number as 8, a
// boolean as 4. depth is that of what holds the value.
func twinSize(value any, place string, depth int) (size int, err error) {
	switch v := value.(type) {
	case map[string]any:
		if depth > MaxTwinDepth {
			return 0, fmt.Errorf("%.80s: more than %d objects in each other", place, MaxTwinDepth)
		}
		for key, inner := range v {
			n, err := twinMember(key, inner, place, depth)
			if err != nil {
				return 0, err
			}
			size += n
		}
		return size, nil
	case []any:
		for _, inner := range v {
			n, err := twinSize(inner, place+"[]", depth+1)
			if err != nil {
				return 0, err
			}
			size += n
		}
		return size, nil
	case string:
		if len(v) > MaxTwinText {
			return 0, fmt.Errorf("%.80s: a text of %d bytes, at most %d are allowed", place, len(v), MaxTwinText)
		}
		return len(v), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) > maxTwinInteger {
			return 0, fmt.Errorf("%.80s: %v is too large for an integer, send it as text", place, v)
		}
		return 8, nil
	case bool:
		return 4, nil
	default:
		return 0, fmt.Errorf("%.80s: %T is not allowed", place, value)
	}
}

func twinMember(key string, value any, place string, depth int) (size int, err error) {
	if key == "" || len(key) > MaxTwinKey || strings.ContainsFunc(key, notInTwinKey) {
		return 0, fmt.Errorf("%.80s: key %.40q: want 1 to %d bytes without control characters, space, . and $", place, key, MaxTwinKey)
	}
	inner := key
	if place != "" {
		inner = place + "." + key
	}
	size, err = twinSize(value, inner, depth+1)
	return len(key) + size, err
}

func notInTwinKey(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(" .$", r) }
