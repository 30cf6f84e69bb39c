package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// moment is a time of day: of the clock, as 06:30, or of the sun, as sunset-15m.
type moment struct {
	text string
	sun  event
	// time is since midnight, or since what the sun does.
	time time.Duration
}

var (
	clockShape = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?$`)
	sunShape   = regexp.MustCompile(`^(dawn|sunrise|sunset|dusk)(?:([+-])((?:[0-9]{1,3}[hms])+))?$`)
)

// maxFromSun bounds how far from what the sun does a moment may be.
const maxFromSun = 6 * time.Hour

const momentWanted = "want a time of day such as 06:30, or sunrise, sunset, dawn or dusk, also with a shift: sunset-15m, dawn+1h30m"

// parseMoment reads a time of day; spaces about the sign do not count.
func parseMoment(text string) (moment, error) {
	bare := strings.ReplaceAll(text, " ", "")
	if parts := clockShape.FindStringSubmatch(bare); parts != nil && bare == strings.TrimSpace(text) {
		var units [3]time.Duration
		for i, digits := range parts[1:] {
			if digits == "" {
				continue
			}
			n, err := strconv.Atoi(digits)
			if err != nil {
				return moment{}, fmt.Errorf("%.40q: %s", text, momentWanted)
			}
			units[i] = time.Duration(n)
		}
		return moment{text: bare, time: units[0]*time.Hour + units[1]*time.Minute + units[2]*time.Second}, nil
	}
	parts := sunShape.FindStringSubmatch(bare)
	if parts == nil {
		return moment{}, fmt.Errorf("%.40q is no time of day; %s", text, momentWanted)
	}
	m := moment{text: bare, sun: event(slices.Index(eventNames, parts[1]))}
	if parts[3] == "" {
		return m, nil
	}
	shift, err := time.ParseDuration(parts[3])
	if err != nil || shift > maxFromSun {
		return moment{}, fmt.Errorf("%.40q: the shift is not allowed; want at most %v", text, maxFromSun)
	}
	if m.time = shift; parts[2] == "-" {
		m.time = -shift
	}
	return m, nil
}

// morning tells whether it is before noon.
func (m moment) morning() bool {
	if m.sun != noEvent {
		return m.sun.morning()
	}
	return m.time < 12*time.Hour
}

// on is the moment on a date. takesPlace is false if the sun does not do that on
// this day.
func (m moment) on(d date, at Position, zone *time.Location) (t time.Time, takesPlace bool) {
	if m.sun == noEvent {
		return d.at(m.time, zone), true
	}
	t, takesPlace = m.sun.on(d, at, zone)
	return t.Add(m.time), takesPlace
}
