package nmea

import (
	gonmea "github.com/adrianmo/go-nmea"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	noFix     = "none"
	anyFix    = "gps" // a fix of which nothing better is known
	estimated = "estimated"

	knot = 1852.0 / 3600 // in m/s
)

// qualities are the fixes of GGA.
var qualities = map[string]string{
	gonmea.GPS: anyFix, gonmea.DGPS: "dgps", gonmea.PPS: "pps", gonmea.RTK: "rtk", gonmea.FRTK: "rtk-float", gonmea.EST: estimated,
}

// modes are the fixes of RMC, from NMEA 2.3 on. M and S are manual and simulated.
var modes = map[string]string{"": anyFix, "A": anyFix, "D": "dgps", "P": "pps", "R": "rtk", "F": "rtk-float", "E": estimated}

// epoch is what the sentences of one moment say.
type epoch struct {
	at       gonmea.Time
	rmc, gga bool // which of them it has
	done     bool // handed on, or not due
	fix      string
	values   []gateway.Reading
}

// begin gives the epoch of a sentence. If that is a new one, the readings are
// those of the one before, of which a sentence never came.
func (r *receiver) begin(at gonmea.Time, again bool) []gateway.Reading {
	if r.epoch.at == at && !again {
		return nil
	}
	readings := r.finish()
	r.epoch = epoch{at: at}
	return readings
}

// finish hands on the epoch, if it has something, and is due or news.
func (r *receiver) finish() []gateway.Reading {
	e := &r.epoch
	if e.done || !e.rmc && !e.gga {
		return nil
	}
	e.done = true
	changed := e.fix != r.status
	if !due(&r.next, r.config.Every) && !changed {
		return nil
	}
	r.status = e.fix
	readings := []gateway.Reading{{Name: "fix", Value: gateway.Text(e.fix)}}
	for _, v := range e.values {
		if e.fix == noFix && v.Name != "satellites" {
			continue
		}
		if e.fix == estimated {
			v.Quality = gateway.Uncertain
		}
		readings = append(readings, v)
	}
	return readings
}

// judge joins what two sentences say of the fix: one that denies it is right.
func (e *epoch) judge(fix string, better bool) {
	switch {
	case fix == "" || e.fix == noFix:
		e.fix = noFix
	case e.fix == "" || better || fix == noFix:
		e.fix = fix
	}
}

// set notes a value, unless another sentence gave it.
func (e *epoch) set(name string, value float64, unit string) {
	for _, v := range e.values {
		if v.Name == name {
			return
		}
	}
	e.values = append(e.values, gateway.Reading{Name: name, Value: gateway.Number(value), Unit: unit})
}

func (r *receiver) rmc(s gonmea.RMC) ([]gateway.Reading, error) {
	f := fields{all: s.Fields}
	speed, course := f.number(6, 0, 2000), f.number(7, 0, 360)
	there := f.position(2)
	if f.err != nil {
		return nil, f.err
	}
	readings := r.begin(s.Time, r.epoch.rmc)
	e := &r.epoch
	e.rmc = true
	fix := modes[s.FFAMode]
	if s.Validity != gonmea.ValidRMC || !there {
		fix = noFix
	}
	e.judge(fix, false)
	if there {
		e.set("latitude", s.Latitude, "lat")
		e.set("longitude", s.Longitude, "lon")
	}
	if speed {
		e.set("speed", s.Speed*knot, "m/s")
	}
	if course {
		e.set("course", s.Course, "deg")
	}
	if now, ok := timeOf(s.Date, s.Time); ok && e.fix != noFix && e.fix != estimated {
		r.tell(now)
	}
	if e.gga {
		readings = append(readings, r.finish()...)
	}
	return readings, nil
}

func (r *receiver) gga(s gonmea.GGA) ([]gateway.Reading, error) {
	f := fields{all: s.Fields}
	satellites, hdop, altitude := f.number(6, 0, 200), f.number(7, 0, 100), f.number(8, -1000, 100_000)
	there := f.position(1)
	if f.err != nil {
		return nil, f.err
	}
	readings := r.begin(s.Time, r.epoch.gga)
	e := &r.epoch
	e.gga = true
	fix := qualities[s.FixQuality]
	if !there {
		fix = noFix
	}
	e.judge(fix, true)
	if there {
		e.set("latitude", s.Latitude, "lat")
		e.set("longitude", s.Longitude, "lon")
	}
	if altitude {
		e.set("altitude", s.Altitude, "m")
	}
	if satellites {
		e.set("satellites", float64(s.NumSatellites), "")
	}
	if hdop {
		e.set("hdop", s.HDOP, "")
	}
	if e.rmc {
		readings = append(readings, r.finish()...)
	}
	return readings, nil
}

// vtg has no time; it belongs to the epoch under way.
func (r *receiver) vtg(s gonmea.VTG) error {
	f := fields{all: s.Fields}
	course, speed := f.number(0, 0, 360), f.number(4, 0, 2000)
	if f.err != nil {
		return f.err
	}
	if course {
		r.epoch.set("course", s.TrueTrack, "deg")
	}
	if speed {
		r.epoch.set("speed", s.GroundSpeedKnots*knot, "m/s")
	}
	return nil
}
