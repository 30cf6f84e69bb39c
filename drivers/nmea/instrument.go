package nmea

import (
	gonmea "github.com/adrianmo/go-nmea"

	"github.com/fieldpost/fieldpost/gateway"
)

// instrument takes the sentences of wind, depth and water. The value of each
// quantity is taken once in each period.
func (r *receiver) instrument(sentence gonmea.Sentence) ([]gateway.Reading, error) {
	var f fields
	var all []gateway.Reading
	add := func(there bool, name string, value float64, unit string) {
		if there {
			all = append(all, gateway.Reading{Name: name, Value: gateway.Number(value), Unit: unit})
		}
	}
	switch s := sentence.(type) {
	case gonmea.MWV:
		f.all = s.Fields
		angle, speed := f.number(0, 0, 360), f.number(2, 0, 500)
		unit, known := speedUnits[s.WindSpeedUnit]
		kind := ""
		if s.Reference == gonmea.TheoreticalMWV {
			kind = "true_"
		}
		add(angle && s.StatusValid, kind+"wind_angle", s.WindAngle, "deg")
		add(speed && known && s.StatusValid, kind+"wind_speed", s.WindSpeed*unit, "m/s")
	case gonmea.MWD:
		f.all = s.Fields
		direction, speed := f.number(0, 0, 360), f.number(6, 0, 500)
		add(direction && s.TrueValid, "wind_direction", s.WindDirectionTrue, "deg")
		add(speed && s.MetersValid, "true_wind_speed", s.WindSpeedMeters, "m/s")
	case gonmea.DPT:
		f.all = s.Fields
		add(f.number(0, 0, 12_000), "depth", s.Depth, "m")
	case gonmea.DBT:
		f.all = s.Fields
		add(f.number(2, 0, 12_000), "depth", s.DepthMeters, "m")
	case gonmea.MTW:
		f.all = s.Fields
		add(f.number(0, -10, 60) && s.CelsiusValid, "water_temperature", s.Temperature, "Cel")
	}
	if f.err != nil {
		return nil, f.err
	}
	return r.pick(all), nil
}

// speedUnits are the units of MWV, in m/s.
var speedUnits = map[string]float64{
	gonmea.UnitKMHMWV: 1 / 3.6, gonmea.UnitMSMWV: 1, gonmea.UnitKnotsMWV: knot, gonmea.UnitSMilesHMWV: 0.44704,
}

// pick leaves out what is not due.
func (r *receiver) pick(all []gateway.Reading) []gateway.Reading {
	var picked []gateway.Reading
	for _, reading := range all {
		next := r.instruments[reading.Name]
		if due(&next, r.config.Every) {
			picked = append(picked, reading)
		}
		r.instruments[reading.Name] = next
	}
	return picked
}
