package config

import "strings"

// Rate is a number of bytes per second. In the file it is a size, with or
// without /s behind it: 64kB/s or 64kB.
type Rate int64

const rateShape = `^(` + sizePattern + `)(/s)?$`

func parseRate(s string) (Rate, error) {
	b, err := parseBytes(strings.TrimSuffix(s, "/s"))
	return Rate(b), err
}
