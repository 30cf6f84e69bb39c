package rules

import (
	"fmt"
	"time"
)

// date is a day of the calendar, in no zone.
type date struct {
	year  int
	month time.Month
	day   int
}

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{y, m, d}
}

// add is the date so many days later.
func (d date) add(days int) date { return dateOf(d.utc().AddDate(0, 0, days)) }

func (d date) before(other date) bool { return d.utc().Before(other.utc()) }

func (d date) weekday() time.Weekday { return d.utc().Weekday() }

// utc is the beginning of the day, if it were one of UTC.
func (d date) utc() time.Time { return time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC) }

func (d date) String() string { return d.utc().Format(time.DateOnly) }

// MarshalText implements encoding.TextMarshaler.
func (d date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("date %.20q: want 2026-11-30", text)
	}
	*d = dateOf(t)
	return nil
}

// at is the moment at which clocks in a zone show a time of a day. Each has one:
// of a time that comes twice, as clocks are set back, the first; for one that is
// left out, as they are set forward, the moment at which they are.
func (d date) at(timeOfDay time.Duration, zone *time.Location) time.Time {
	shown := d.utc().Add(timeOfDay)
	before := offset(shown.Add(-24*time.Hour), zone)
	after := offset(shown.Add(24*time.Hour), zone)
	for _, o := range []time.Duration{max(before, after), min(before, after)} { // a greater offset is an earlier moment
		if t := shown.Add(-o); offset(t, zone) == o {
			return t.In(zone)
		}
	}
	start, _ := shown.Add(-before).In(zone).ZoneBounds()
	return start
}

// offset is by how much clocks in a zone are ahead of UTC.
func offset(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}
