package rules

import (
	"math"
	"time"
)

// Position is a place on earth, in degrees; north and east are positive.
type Position struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// event is something that the sun does each day, at most places.
type event uint8

const (
	noEvent event = iota
	dawn          // 6° below the horizon, rising: civil twilight begins
	sunrise
	sunset
	dusk // 6° below the horizon, setting
)

var eventNames = []string{dawn: "dawn", sunrise: "sunrise", sunset: "sunset", dusk: "dusk"}

// morning tells whether the event is before noon.
func (e event) morning() bool { return e == dawn || e == sunrise }

// altitude is that of the centre of the sun. Its upper edge rises and sets:
// 16′ above it, and refraction lifts it by 34′.
func (e event) altitude() float64 {
	if e == dawn || e == dusk {
		return -6
	}
	return -50.0 / 60
}

// on is the moment of the event on a date, whose noon is that of the zone. If it
// does not take place since the sun stays below that altitude, it is said to
// happen at noon, so that the day has no length; if it stays above, half a day
// from noon, so that the night has none.
//
// The equations are those of the solar calculator of NOAA, from Meeus, Astronomical
// Algorithms, chapters 25 and 28. Up to the polar circles they are within a minute
// of the almanacs from 1900 to 2100; refraction varies by more.
func (e event) on(d date, at Position, zone *time.Location) (moment time.Time, takesPlace bool) {
	noon := solarNoon(d.at(12*time.Hour, zone), at)
	moment = noon
	for range 4 { // what the sun does at the event, not at noon, counts
		s := sunAt(moment)
		transit := noon.Add(minutes(sunAt(noon).timeAhead - s.timeAhead))
		half, crosses := s.halfDay(at.Latitude, e.altitude())
		takesPlace = crosses
		if e.morning() {
			half = -half
		}
		moment = transit.Add(half)
	}
	return moment.Round(time.Second).In(zone), takesPlace
}

// solarNoon is when the sun is highest, next to a moment.
func solarNoon(near time.Time, at Position) time.Time {
	// Mean solar time, less by what the sun is ahead of it.
	midnight := near.UTC().Truncate(24 * time.Hour)
	noon := midnight.Add(minutes(720 - 4*at.Longitude - sunAt(near).timeAhead))
	days := math.Round(near.Sub(noon).Hours() / 24)
	return noon.Add(time.Duration(days) * 24 * time.Hour)
}

// sun is where the sun stands.
type sun struct {
	declination float64 // radians
	timeAhead   float64 // the equation of time, minutes
}

func sunAt(t time.Time) sun {
	const j2000 = 946728000 // 2000-01-01 12:00 UTC, in Unix time
	c := float64(t.Unix()-j2000) / 86400 / 36525
	longitude := radians(math.Mod(280.46646+c*(36000.76983+c*0.0003032), 360))
	anomaly := radians(357.52911 + c*(35999.05029-c*0.0001537))
	eccentricity := 0.016708634 - c*(0.000042037+c*0.0000001267)
	centre := math.Sin(anomaly)*(1.914602-c*(0.004817+c*0.000014)) +
		math.Sin(2*anomaly)*(0.019993-c*0.000101) + math.Sin(3*anomaly)*0.000289
	node := radians(125.04 - 1934.136*c)
	apparent := longitude + radians(centre-0.00569-0.00478*math.Sin(node))
	mean := 23 + (26+(21.448-c*(46.815+c*(0.00059-c*0.001813)))/60)/60
	obliquity := radians(mean + 0.00256*math.Cos(node))
	y := math.Pow(math.Tan(obliquity/2), 2)
	ahead := y*math.Sin(2*longitude) - 2*eccentricity*math.Sin(anomaly) +
		4*eccentricity*y*math.Sin(anomaly)*math.Cos(2*longitude) -
		y*y/2*math.Sin(4*longitude) - 1.25*eccentricity*eccentricity*math.Sin(2*anomaly)
	return sun{
		declination: math.Asin(math.Sin(obliquity) * math.Sin(apparent)),
		timeAhead:   4 * ahead * 180 / math.Pi,
	}
}

// halfDay is how long before and after its highest stand the sun is at an
// altitude; crosses is false if it is always below (none) or above (12 h).
func (s sun) halfDay(latitude, altitude float64) (half time.Duration, crosses bool) {
	phi := radians(latitude)
	cos := (math.Sin(radians(altitude)) - math.Sin(phi)*math.Sin(s.declination)) / (math.Cos(phi) * math.Cos(s.declination))
	angle := math.Acos(max(-1, min(cos, 1))) // radians
	return minutes(4 * angle * 180 / math.Pi), cos > -1 && cos < 1
}

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }

func minutes(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
