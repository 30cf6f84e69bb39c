package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Frequency is a number of hertz. In the file it has a unit: 50Hz, 400kHz,
// 1.5MHz.
type Frequency int64

const frequencyShape = `^[0-9]+(\.[0-9]+)?(Hz|kHz|MHz)$`

var frequencyRegexp = regexp.MustCompile(frequencyShape)

// parseFrequency reads a frequency. Fractions are rounded to whole hertz.
func parseFrequency(s string) (Frequency, error) {
	if !frequencyRegexp.MatchString(s) {
		return 0, errShape
	}
	unit := 1.0
	number := strings.TrimSuffix(s, "Hz")
	switch number[len(number)-1] {
	case 'k':
		unit = 1e3
	case 'M':
		unit = 1e6
	}
	x, err := strconv.ParseFloat(strings.TrimRight(number, "kM"), 64)
	if x *= unit; err != nil || x >= math.MaxInt64 {
		return 0, errLarge
	}
	return Frequency(math.Round(x)), nil
}
