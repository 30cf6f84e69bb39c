package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"
)

const durationShape = `^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`

var (
	durationRegexp = regexp.MustCompile(durationShape)
	durationPart   = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
	durationUnits  = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
)

// ParseDuration reads a duration with units, such as 500ms, 1h30m or 7d.
func ParseDuration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, errors.New("the unit is missing")
	}
	if !durationRegexp.MatchString(s) {
		return 0, errShape
	}
	var sum float64
	for _, part := range durationPart.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, errLarge
		}
		sum += n * float64(durationUnits[part[2]])
	}
	if sum >= math.MaxInt64 {
		return 0, errLarge
	}
	return time.Duration(math.Round(sum)), nil
}
