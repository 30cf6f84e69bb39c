package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// days are days of the week, a bit for each time.Weekday.
type days uint8

const allDays days = 1<<7 - 1

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday

func (d days) has(w time.Weekday) bool { return d&(1<<w) != 0 }

// parseDays reads days and ranges of them, such as mon-fri. None at all means
// every day.
func parseDays(texts []string) (days, error) {
	if len(texts) == 0 {
		return allDays, nil
	}
	var all days
	for _, text := range texts {
		first, last, isRange := strings.Cut(text, "-")
		from, to := slices.Index(dayNames, first), slices.Index(dayNames, first)
		if isRange {
			to = slices.Index(dayNames, last)
		}
		if from < 0 || to < 0 {
			return 0, fmt.Errorf("%.40q is no day; want mon, tue, wed, thu, fri, sat, sun or a range such as mon-fri", text)
		}
		for w := from; ; w = (w + 1) % 7 {
			all |= 1 << w
			if w == to {
				break
			}
		}
	}
	return all, nil
}
