package rules

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// almanac has what the tables of the US Naval Observatory (Astronomical
// Applications Department, "Sun or Moon Rise/Set Table for One Year") say of the
// sun: its rise and set on a date of UTC; "up" or "down" if it stays so. The
// columns of twilight are of civil twilight.
const almanac = `
Anchorage     61.216667 -149.866667 -9 rise/set
2020-01-05 19:11 00:57
2020-02-15 17:43 02:43
2020-03-25 15:43 04:27
2020-05-05 13:37 06:14
2020-06-15 12:21 07:40
2020-06-25 12:22 07:42
2020-08-15 14:10 05:59
2020-09-25 15:53 03:51
2020-11-05 17:40 01:48
2020-12-15 19:10 00:40
Anchorage     61.216667 -149.866667 -9 twilight
2020-01-05 18:11 01:58
2020-03-25 14:59 05:11
2020-05-25 11:20 08:32
2020-06-05 10:24 09:32
2020-06-15 up    up
2020-06-25 up    up
2020-07-05 10:21 09:48
2020-12-15 18:08 01:42
Auckland     -36.833333  174.8 12 rise/set
2020-01-05 17:09 07:44
2020-03-25 18:29 06:25
2020-06-25 19:34 05:13
2020-09-25 18:04 06:20
2020-12-15 16:56 07:36
Singapore      1.283333  103.833333 8 rise/set
2020-01-05 23:09 11:11
2020-02-15 23:17 11:21
2020-05-15 22:56 11:06
2020-07-25 23:06 11:17
2020-11-05 22:46 10:50
Longyearbyen  78.216667   15.633333 1 rise/set
2020-01-25 down  down
2020-02-15 down  down
2020-03-05 06:48 15:33
2020-03-25 04:09 18:02
2020-04-15 00:38 21:33
2020-04-25 up    up
2020-06-15 up    up
2020-08-15 up    up
2020-09-05 02:19 19:26
2020-10-05 06:06 15:23
2020-11-05 down  down
2020-12-25 down  down
`

func TestSunIsAsInTheAlmanac(t *testing.T) {
	var place string
	var at Position
	var zone *time.Location
	events := [2]event{}
	for line := range strings.Lines(strings.TrimSpace(almanac)) {
		f := strings.Fields(line)
		if len(f) == 5 {
			place = f[0]
			var hours int
			fmt.Sscan(f[1]+" "+f[2]+" "+f[3], &at.Latitude, &at.Longitude, &hours)
			zone = time.FixedZone(place, hours*3600)
			events = [2]event{sunrise, sunset}
			if f[4] == "twilight" {
				events = [2]event{dawn, dusk}
			}
			continue
		}
		var d date
		if err := d.UnmarshalText([]byte(f[0])); err != nil {
			t.Fatal(err)
		}
		for i, e := range events {
			got, takesPlace := onDateOfUTC(e, d, at, zone)
			want, err := time.Parse("15:04", f[1+i])
			if err != nil {
				length := "down"
				if got.Hour() < 6 || got.Hour() >= 18 { // half a day from noon
					length = "up"
				}
				if takesPlace || length != f[1+i] {
					t.Errorf("%s %s: %s at %v, %v; the sun is %s all day", place, d, eventNames[e], got, takesPlace, f[1+i])
				}
				continue
			}
			off := got.Sub(d.utc().Add(time.Duration(want.Hour())*time.Hour + time.Duration(want.Minute())*time.Minute))
			most := time.Minute // the almanac has whole minutes
			if math.Abs(at.Latitude) > 66 {
				most = 2 * time.Minute
			}
			if !takesPlace || off.Abs() > most {
				t.Errorf("%s %s: %s at %v, %v; want %s", place, d, eventNames[e], got.UTC(), takesPlace, f[1+i])
			}
		}
	}
}

// onDateOfUTC is an event on a date of UTC, as the almanac counts, which can be
// another one in the zone.
func onDateOfUTC(e event, d date, at Position, zone *time.Location) (moment time.Time, takesPlace bool) {
	for ahead := -1; ahead <= 1; ahead++ {
		if moment, takesPlace = e.on(d.add(ahead), at, zone); takesPlace && dateOf(moment.UTC()) == d {
			return moment, true
		}
	}
	return e.on(d, at, zone)
}

// TestSunEverywhere: at any place, on any day, in any zone there are four moments, in
// order, about the noon of that day.
func TestSunEverywhere(t *testing.T) {
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", 14*3600), time.FixedZone("", -12*3600)} {
		for latitude := -90.0; latitude <= 90; latitude += 15 {
			for longitude := -180.0; longitude <= 180; longitude += 120 {
				at := Position{latitude, longitude}
				for d := (date{2026, 1, 1}); d.year == 2026; d = d.add(2) {
					noon := d.at(12*time.Hour, zone)
					last := noon.Add(-25 * time.Hour)
					for e := dawn; e <= dusk; e++ {
						moment, _ := e.on(d, at, zone)
						if moment.Before(last.Add(-time.Minute)) || moment.After(noon.Add(25*time.Hour)) {
							t.Fatalf("%s at %v on %v is %v, after %v", eventNames[e], at, d, moment, last)
						}
						last = moment
					}
				}
			}
		}
	}
}
