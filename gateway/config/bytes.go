package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Bytes is a size. In the file it is a number with a unit, such as 64kB,
// 512MB or 32MiB; a number alone counts bytes.
type Bytes int64

const (
	sizePattern = `[0-9]+|[0-9]+\.[0-9]+(?:kB|MB|GB|TB|KiB|MiB|GiB|TiB)|[0-9]+(?:B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)`
	sizeShape   = `^(` + sizePattern + `)$`
)

var (
	sizeRegexp = regexp.MustCompile(sizeShape)
	sizeUnits  = map[string]float64{
		"": 1, "B": 1,
		"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}
)

// parseBytes reads a size. Fractions are rounded to whole bytes.
func parseBytes(s string) (Bytes, error) {
	if !sizeRegexp.MatchString(s) {
		return 0, errShape
	}
	number := strings.TrimRight(s, "BkMGTKi")
	unit := sizeUnits[s[len(number):]]
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && unit == 1 {
		return Bytes(n), nil
	}
	n, err := strconv.ParseFloat(number, 64)
	n *= unit
	if err != nil || n >= math.MaxInt64 {
		return 0, errLarge
	}
	return Bytes(math.Round(n)), nil
}
