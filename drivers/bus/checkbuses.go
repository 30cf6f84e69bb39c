package bus

import (
	"fmt"
	"maps"
	"slices"
)

// Fault is what is wrong with the config of a bus, in view of the others.
type Fault struct {
	Bus, Field, Problem string
}

// CheckBuses holds the configured buses against each other.
func (s *Set) CheckBuses() []Fault {
	var faults []Fault
	owners := make(map[string]string)
	channels := make(map[MuxConfig]string)
	for _, name := range slices.Sorted(maps.Keys(s.configs())) {
		fault := func(field, format string, args ...any) {
			faults = append(faults, Fault{Bus: name, Field: field, Problem: fmt.Sprintf(format, args...)})
		}
		switch c := s.configs()[name].(type) {
		case owner:
			if other, twice := owners[c.hardware()]; twice {
				fault("", "its %s is bus %s already; want each once", c.hardware(), other)
			}
			owners[c.hardware()] = name
		case *MuxConfig:
			if other, twice := channels[*c]; twice {
				fault("channel", "this channel is bus %s already; want each once", other)
			}
			channels[*c] = name
			s.checkMux(name, c, fault)
		}
	}
	return faults
}

func (s *Set) checkMux(name string, c *MuxConfig, fault func(field, format string, args ...any)) {
	if err := s.Check(Place{Bus: c.Bus, Kind: KindI2C}); err != nil {
		fault("bus", "%v", err)
		return
	}
	above := s.above(name)
	if len(above) > deepest {
		fault("bus", "%s leads back to itself; want the bus that the multiplexer is wired to", c.Bus)
		return
	}
	place := AtI2C(c.Bus, c.Address)
	for _, other := range above {
		up, ok := s.configs()[other].(*MuxConfig)
		if ok && s.Meet(place, AtI2C(up.Bus, up.Address)) {
			fault("address", "%v is in the way: the multiplexer that leads there has the same address; want another, by its pins A0 to A2", place)
			return
		}
	}
}

// Taken is a place that belongs to a bus.
type Taken struct {
	Place Place
	// By says for people what is there.
	By string
}

// Taken lists the places that the buses themselves take: those of multiplexers,
// each once, and lines that cut power.
func (s *Set) Taken() (all []Taken) {
	for _, name := range slices.Sorted(maps.Keys(s.configs())) {
		taken := Taken{}
		switch c := s.configs()[name].(type) {
		case *MuxConfig:
			taken = Taken{AtI2C(c.Bus, c.Address), "the multiplexer of bus " + name}
		case *I2CConfig:
			if c.Power != nil {
				taken = Taken{AtLine(c.Power.LineConfig), "the power of bus " + name}
			}
		}
		known := slices.ContainsFunc(all, func(t Taken) bool { return t.Place == taken.Place })
		if taken.By != "" && !known {
			all = append(all, taken)
		}
	}
	return all
}

// Meet says whether who is at one place answers to what is said to the other: it
// is the same, or the one is on a channel of a multiplexer behind the other.
func (s *Set) Meet(a, b Place) bool {
	return a.Kind == b.Kind && a.At == b.At &&
		(a.Bus == b.Bus || slices.Contains(s.above(a.Bus), b.Bus) || slices.Contains(s.above(b.Bus), a.Bus))
}

// above are the buses that a channel of a multiplexer hangs on, the nearest
// first; none for other buses.
func (s *Set) above(name string) []string { return above(name, s.configs()) }

func above(name string, configs map[string]any) (buses []string) {
	for len(buses) <= deepest {
		c, ok := configs[name].(*MuxConfig)
		if !ok {
			break
		}
		name = c.Bus
		buses = append(buses, name)
	}
	return buses
}
