package rules

import (
	"fmt"
	"strings"
	"time"
)

// window is a part of the day. It belongs to the day on which it begins.
type window struct {
	begin, end moment
	days       days
	// over is 1 if it ends on the next day.
	over int
}

// parseWindow reads two moments, as in "sunset-15m and 23:00".
func parseWindow(text string, on days) (*window, error) {
	first, last, ok := strings.Cut(text, " and ")
	if !ok {
		return nil, fmt.Errorf("%.60q is no part of a day; want two times of day with and between them, such as 08:00 and 18:00, or sunset-15m and 23:00", text)
	}
	w := &window{days: on}
	var err error
	if w.begin, err = parseMoment(strings.TrimSpace(first)); err != nil {
		return nil, err
	}
	if w.end, err = parseMoment(strings.TrimSpace(last)); err != nil {
		return nil, err
	}
	if w.begin == w.end {
		return nil, fmt.Errorf("%.60q has no length; want two different times of day", text)
	}
	if w.endsNextDay() {
		w.over = 1
	}
	return w, nil
}

// endsNextDay: of two times of the clock, if the end is not after the beginning.
// With the sun in it, which moves, if it begins after noon and ends before it;
// so sunset and 23:00 are of one day, and nothing is between them in a summer
// in which the sun sets after 23:00.
func (w *window) endsNextDay() bool {
	if w.begin.sun == noEvent && w.end.sun == noEvent {
		return w.end.time <= w.begin.time
	}
	return !w.begin.morning() && w.end.morning()
}

// needsSun tells whether the position must be known.
func (w *window) needsSun() bool { return w.begin.sun != noEvent || w.end.sun != noEvent }

// empty tells whether there is nothing of it at any season at most latitudes, where
// clocks go by the sun.
func (w *window) empty(zone *time.Location) bool {
	for month := time.March; month <= time.December; month += 3 {
		d := date{2026, month, 21}
		noon := d.at(12*time.Hour, zone)
		for latitude := -60.0; latitude <= 60; latitude += 30 {
			at := Position{latitude, offset(noon, zone).Hours() * 15}
			begin, _ := w.begin.on(d, at, zone)
			end, _ := w.end.on(d.add(w.over), at, zone)
			if end.After(begin) {
				return false
			}
		}
	}
	return true
}

// around says whether now is in the window, and when that changes next, as far
// as the days about now tell. On a day on which the sun does not rise, it rises and
// sets at noon; on one on which it does not set, at midnight.
func (w *window) around(now time.Time, at Position, zone *time.Location) (inside bool, next time.Time) {
	today := dateOf(now.In(zone))
	for ahead := -1; ahead <= 8; ahead++ { // each day of the week has been seen by then
		d := today.add(ahead)
		if !w.days.has(d.weekday()) {
			continue
		}
		begin, _ := w.begin.on(d, at, zone)
		end, _ := w.end.on(d.add(w.over), at, zone)
		switch {
		case !end.After(begin) || !end.After(now):
		case now.Before(begin):
			if next.IsZero() || begin.Before(next) {
				next = begin
			}
			return inside, next
		default:
			inside, next = true, end
		}
	}
	return inside, next
}
