package rules

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func timeOf(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestTimesOfDayWhereClocksAreChanged: each has exactly one moment on each day.
func TestTimesOfDayWhereClocksAreChanged(t *testing.T) {
	for _, c := range []struct{ zone, date, time, want string }{
		{"Europe/Berlin", "2026-03-28", "02:30", "2026-03-28T02:30:00+01:00"},
		{"Europe/Berlin", "2026-03-29", "01:59", "2026-03-29T01:59:00+01:00"},
		{"Europe/Berlin", "2026-03-29", "02:00", "2026-03-29T03:00:00+02:00"}, // left out
		{"Europe/Berlin", "2026-03-29", "02:30", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "2026-03-29", "03:00", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "2026-10-25", "01:59", "2026-10-25T01:59:00+02:00"},
		{"Europe/Berlin", "2026-10-25", "02:00", "2026-10-25T02:00:00+02:00"}, // twice
		{"Europe/Berlin", "2026-10-25", "02:59", "2026-10-25T02:59:00+02:00"},
		{"Europe/Berlin", "2026-10-25", "03:00", "2026-10-25T03:00:00+01:00"},
		{"America/New_York", "2026-03-08", "02:15", "2026-03-08T03:00:00-04:00"},
		{"America/New_York", "2026-11-01", "01:15", "2026-11-01T01:15:00-04:00"},
		{"America/New_York", "2026-11-01", "02:15", "2026-11-01T02:15:00-05:00"},
		{"Australia/Lord_Howe", "2026-10-04", "02:10", "2026-10-04T02:30:00+11:00"}, // by half an hour
		{"Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-05T01:45:00+11:00"},
		{"America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04T01:00:00-02:00"}, // no midnight
		{"Africa/Cairo", "2026-04-24", "00:30", "2026-04-24T01:00:00+03:00"},
		{"Pacific/Apia", "2011-12-30", "06:30", "2011-12-31T00:00:00+14:00"}, // no day
		{"Pacific/Apia", "2011-12-31", "06:30", "2011-12-31T06:30:00+14:00"},
		{"Asia/Kathmandu", "2026-06-01", "06:30", "2026-06-01T06:30:00+05:45"},
		{"UTC", "2026-06-01", "23:59:59", "2026-06-01T23:59:59Z"},
	} {
		var d date
		if err := d.UnmarshalText([]byte(c.date)); err != nil {
			t.Fatal(err)
		}
		m, err := parseMoment(c.time)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := m.on(d, Position{}, zoneOf(t, c.zone))
		if got.Format(time.RFC3339) != c.want {
			t.Errorf("%s on %s in %s is %s; want %s", c.time, c.date, c.zone, got.Format(time.RFC3339), c.want)
		}
	}
}

// TestEachTimeOfDayInManyZones: moments never go backwards, and lie on their date.
func TestEachTimeOfDayInManyZones(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago", "Asia/Tehran", "Pacific/Chatham"} {
		zone := zoneOf(t, name)
		last := time.Time{}
		for d := (date{2026, 1, 1}); d.year < 2028; d = d.add(1) {
			for at := time.Duration(0); at < 24*time.Hour; at += 15 * time.Minute {
				got := d.at(at, zone)
				if got.Before(last) {
					t.Fatalf("%v at %v in %s is %v, after %v", d, at, name, got, last)
				}
				if last = got; dateOf(got) != d {
					t.Fatalf("%v at %v in %s is %v", d, at, name, got)
				}
			}
		}
	}
}

func TestMomentsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "24:00", "6", "6:3", "06:60", "06:30:60", "6.30", "noon", "sunset+", "sunset-15", "sunset-7h", "15m-sunset", "sunset-15m-3m", "06:30+5m", "-06:30", "sunset-99999999999999999999h", "06 : 30"} {
		if m, err := parseMoment(text); err == nil {
			t.Errorf("%q is %v", text, m)
		} else if !strings.Contains(err.Error(), "want ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]time.Duration{"6:30": 6*time.Hour + 30*time.Minute, "sunset - 15m": -15 * time.Minute, "dawn+1h30m": 90 * time.Minute, "dusk": 0} {
		if m, err := parseMoment(text); err != nil || m.time != want {
			t.Errorf("%q is %v, %v", text, m, err)
		}
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "sun mon tue wed thu fri sat",
		"mon-fri":          "mon tue wed thu fri",
		"sat-mon":          "sun mon sat",
		"wed sun":          "sun wed",
		"mon mon-tue thu":  "mon tue thu",
		"tue-mon":          "sun mon tue wed thu fri sat",
		"monday":           "no day",
		"mon-":             "no day",
		"mon-fri-sun":      "no day",
		"Mon":              "no day",
		"mon tue- wed-fri": "no day",
	} {
		got, err := parseDays(strings.Fields(text))
		var names []string
		for w, name := range dayNames {
			if got.has(time.Weekday(w)) {
				names = append(names, name)
			}
		}
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && strings.Join(names, " ") != want {
			t.Errorf("%q is %v, %v; want %s", text, names, err, want)
		}
	}
}

// TestWindows: a line has the window, and what it covers on some days, in the zone
// and at the place of Berlin.
func TestWindows(t *testing.T) {
	berlin, at := zoneOf(t, "Europe/Berlin"), Position{52.5, 13.4}
	for _, c := range []struct{ window, days, when, want string }{
		{"08:00 and 18:00", "", "2026-06-01T08:00:00+02:00", "in until 06-01 18:00"},
		{"08:00 and 18:00", "", "2026-06-01T07:59:59+02:00", "out until 06-01 08:00"},
		{"08:00 and 18:00", "", "2026-06-01T18:00:00+02:00", "out until 06-02 08:00"},
		{"08:00 and 18:00", "mon-fri", "2026-06-05T18:00:00+02:00", "out until 06-08 08:00"},
		{"08:00 and 18:00", "wed", "2026-06-03T18:00:00+02:00", "out until 06-10 08:00"},
		{"22:00 and 06:00", "", "2026-06-01T23:00:00+02:00", "in until 06-02 06:00"},
		{"22:00 and 06:00", "mon", "2026-06-02T05:00:00+02:00", "in until 06-02 06:00"}, // of Monday
		{"22:00 and 06:00", "mon", "2026-06-01T05:00:00+02:00", "out until 06-01 22:00"},
		{"02:30 and 02:45", "", "2026-03-29T03:00:00+02:00", "out until 03-30 02:30"}, // left out
		{"01:30 and 02:30", "", "2026-03-29T01:45:00+01:00", "in until 03-29 03:00"},  // the clock is set forward
		{"02:00 and 02:30", "", "2026-10-25T02:10:00+01:00", "out until 10-26 02:00"}, // for the second time
		{"02:00 and 03:30", "", "2026-10-25T02:40:00+01:00", "in until 10-25 03:30"},  // two and a half hours
		{"sunset-15m and 23:00", "", "2026-12-21T18:00:00+01:00", "in until 12-21 23:00"},
		{"sunset-15m and 23:00", "", "2026-12-21T15:30:00+01:00", "out until 12-21 15:39"},
		{"sunset and 21:00", "", "2026-06-21T21:20:00+02:00", "out until 08-"}, // in summer never
		{"sunset and sunrise", "", "2026-06-22T02:00:00+02:00", "in until 06-22 04:43"},
		{"20:00 and sunset", "", "2026-06-21T20:30:00+02:00", "in until 06-21 21:33"},
		{"05:00 and sunrise", "", "2026-12-21T06:00:00+01:00", "in until 12-21 08:14"},
	} {
		days, err := parseDays(strings.Fields(c.days))
		if err != nil {
			t.Fatal(err)
		}
		w, err := parseWindow(c.window, days)
		if err != nil {
			t.Fatal(err)
		}
		now := timeOf(t, c.when)
		inside, next := w.around(now, at, berlin)
		got := "out"
		if inside {
			got = "in"
		}
		if next.IsZero() {
			got += " until 08-" // beyond what it looks at
		} else {
			got += " until " + next.In(berlin).Format("01-02 15:04")
		}
		if got != c.want {
			t.Errorf("%s at %s: %s; want %s", c.window, c.when, got, c.want)
		}
	}
	for _, text := range []string{"08:00", "08:00-18:00", "08:00 and", "08:00 and 08:00", "x and 08:00", "sunset and sunset", "08:00 and 18:00 and 20:00"} {
		if _, err := parseWindow(text, allDays); err == nil {
			t.Errorf("%q is a window", text)
		}
	}
}

// TestWindowsOfPolarDays: a night that does not end is one night, a day that does not
// end is no night.
func TestWindowsOfPolarDays(t *testing.T) {
	oslo, at := zoneOf(t, "Europe/Oslo"), Position{78.22, 15.63}
	w, err := parseWindow("sunset and sunrise", allDays)
	if err != nil {
		t.Fatal(err)
	}
	var dark []time.Month
	for d := (date{2026, 1, 1}); d.year == 2026; d = d.add(1) {
		for hour := time.Duration(0); hour < 24; hour++ {
			inside, next := w.around(d.at(hour*time.Hour, oslo), at, oslo)
			switch {
			case d.month == 12 && (!inside || next.IsZero()):
				t.Fatalf("%v at %d h: in the polar night it is not dark", d, hour)
			case d.month == 6 && inside:
				t.Fatalf("%v at %d h: it is dark under the midnight sun until %v", d, hour, next)
			case inside && !slices.Contains(dark, d.month):
				dark = append(dark, d.month)
			}
		}
	}
	if want := []time.Month{1, 2, 3, 4, 8, 9, 10, 11, 12}; !slices.Equal(dark, want) {
		t.Errorf("dark in %v", dark)
	}
}

// FuzzMoment: what anybody writes is refused, or has a moment on each day that does
// not go far from the day.
func FuzzMoment(f *testing.F) {
	for _, text := range []string{"06:30", "sunset-15m", "dawn + 1h", "24:00", "9:59:59", "sunset-6h", "a", "22:00 and 06:00", "sunset and 23:00"} {
		f.Add(text)
	}
	zone := zoneOf(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string) {
		d := date{2026, 3, 29}
		if m, err := parseMoment(text); err == nil {
			if at, _ := m.on(d, Position{52, 13}, zone); at.Sub(d.at(12*time.Hour, zone)).Abs() > 20*time.Hour {
				t.Errorf("%q is %v", text, at)
			}
			if again, err := parseMoment(m.text); err != nil || again != m {
				t.Errorf("%q is %v, and that is %v", text, m, again)
			}
		}
		if w, err := parseWindow(text, allDays); err == nil {
			now := d.at(12*time.Hour, zone)
			if inside, next := w.around(now, Position{52, 13}, zone); !next.IsZero() && !next.After(now) || inside && next.IsZero() {
				t.Errorf("%q about %v: %v, %v", text, now, inside, next)
			}
		}
		_, _ = parseDays(strings.Split(text, ","))
	})
}
