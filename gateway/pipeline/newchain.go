package pipeline

import (
	"maps"
	"slices"
	"time"
)

// NewChain makes a chain. The error has a gateway.FieldError for each fault.
func NewChain(p Processing) (*Chain, error) {
	var f faults
	checkEach(&f, "calibrate", p.Calibrate, (*Calibration).check)
	checkEach(&f, "valid_range", p.ValidRange, (*ValidRange).check)
	checkEach(&f, "window", p.Window, (*Window).check)
	for name := range p.Derive {
		if _, found := p.Calibrate[name]; found {
			f.add("calibrate."+name, "is derived; calibrate where it is calculated")
		}
	}
	calculate := newCalculator(&p, &f)
	c := &Chain{
		calibrate: p.Calibrate, valid: p.ValidRange, calculate: calculate, names: newNames(&p, &calculate),
		windows: windower{plans: p.Window, tracks: make(map[readingKey]*track)},
		gate:    gate{bands: p.bands(&f), heartbeat: p.Heartbeat, sent: make(map[readingKey]*sent)},
		limit:   limiter{every: p.limits(&f), tracks: make(map[readingKey]*limited)},
	}
	return c, f.join()
}

func checkEach[T any](f *faults, step string, all map[string]T, check func(*T, *faults, string)) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f.name(step, name)
		one := all[name]
		check(&one, f, step+"."+name)
	}
}

// bands are the deadbands of quantities, and of what windows make of them.
func (p *Processing) bands(f *faults) map[string]band {
	bands := make(map[string]band)
	for _, name := range slices.Sorted(maps.Keys(p.Deadband)) {
		f.name("deadband", name)
		b, ok := parseBand(p.Deadband[name])
		if !ok {
			f.add("deadband."+name, "%.40q is no deadband; want a number such as 0.1, a share such as 2%%, or the word change", p.Deadband[name])
		}
		bands[name] = b
	}
	inherit(bands, p.Window)
	return bands
}

// limits are the rate limits of quantities, and of what windows make of them.
func (p *Processing) limits(f *faults) map[string]time.Duration {
	limits := make(map[string]time.Duration)
	for _, name := range slices.Sorted(maps.Keys(p.RateLimit)) {
		f.name("rate_limit", name)
		limits[name] = p.RateLimit[name]
	}
	inherit(limits, p.Window)
	return limits
}

// inherit gives temperature.mean what is set for temperature, unless it has
// something of its own.
func inherit[T any](set map[string]T, windows map[string]Window) {
	for quantity, w := range windows {
		v, found := set[quantity]
		if !found {
			continue
		}
		for _, name := range w.names(quantity) {
			if _, own := set[name]; !own {
				set[name] = v
			}
		}
	}
}
