package service

import (
	"maps"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// loadBuses decodes the section buses.
func (l *Loaded) loadBuses() error {
	l.buses = make(map[string]any)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(l.Buses)) {
		section := l.Buses[name]
		c, err := loadBus(&section)
		errs = append(errs, err)
		if c != nil {
			l.buses[name] = c
			l.advise(&section, c)
		}
	}
	for _, fault := range bus.New(bus.Options{Configs: l.buses}).CheckBuses() {
		section := l.Buses[fault.Bus]
		errs = append(errs, section.Errorf(fault.Field, "%s", fault.Problem))
	}
	return config.Join(errs...)
}

func loadBus(section *config.Section) (any, error) {
	name, _ := section.Text("type")
	kinds := bus.Kinds()
	i := slices.IndexFunc(kinds, func(k bus.Kind) bool { return k.Name == name })
	if i < 0 {
		return nil, section.Errorf("type", "%s; want %s", unknown("type of bus", name, busKindNames()), strings.Join(busKindNames(), ", "))
	}
	c := kinds[i].Config()
	return c, section.Decode(&BusConfig{}, c)
}

func busKindNames() (names []string) {
	for _, k := range bus.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// places finds devices that are wired to what is not there, or to the same.
type places struct {
	buses *bus.Set // opens nothing here
	taken []taken
}

// taken is a place and who is there.
type taken struct {
	place bus.Place
	by    string
}

func newPlaces(buses map[string]any) *places {
	w := &places{buses: bus.New(bus.Options{Configs: buses})}
	for _, t := range w.buses.Taken() {
		w.taken = append(w.taken, taken{t.Place, t.By})
	}
	for _, name := range slices.Sorted(maps.Keys(buses)) { // those on a serial port
		if placed, ok := buses[name].(bus.Placed); ok {
			for _, place := range placed.Places() {
				w.taken = append(w.taken, taken{place, "bus " + name})
			}
		}
	}
	return w
}

func (w *places) check(section *config.Section, spec deviceSpec) error {
	placed, ok := spec.config.(bus.Placed)
	if !ok {
		return nil
	}
	var errs []error
	for _, place := range placed.Places() {
		if err := w.buses.Check(place); err != nil {
			errs = append(errs, section.Errorf("bus", "%v", withoutSentinel(err)))
			continue
		}
		for _, other := range w.taken {
			switch {
			case place.Shared && other.place.Shared || !w.buses.Meet(place, other.place):
			case place.Bus == other.place.Bus:
				errs = append(errs, section.Errorf("", "%v is where %s is, too; want a place of its own", place, other.by))
			default:
				errs = append(errs, section.Errorf("", "%v is in the way of %s at %v, since both answer; want another address", place, other.by, other.place))
			}
		}
		w.taken = append(w.taken, taken{place, "device " + spec.ID})
	}
	return config.Join(errs...)
}

// withoutSentinel leaves out that the config is invalid: that is plain there.
func withoutSentinel(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+gateway.ErrInvalid.Error())
}
