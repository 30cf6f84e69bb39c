package config

import (
	"regexp"
	"strconv"
	"strings"
)

// Percent is a share of a whole. In the file it is a number from 0 to 100 with
// the sign, such as 80% or 97.5%.
type Percent float64

const percentShape = `^[0-9]+(\.[0-9]+)?%$`

var percentRegexp = regexp.MustCompile(percentShape)

func parsePercent(s string) (Percent, error) {
	if !percentRegexp.MatchString(s) {
		return 0, errShape
	}
	x, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || x > 100 {
		return 0, errHigh
	}
	return Percent(x), nil
}
