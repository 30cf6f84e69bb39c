package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/rules"
)

// Loaded is a config file that has been found right in every part.
type Loaded struct {
	Config
	path     string
	text     []byte
	upstream upstreamSpec
	buses    map[string]any // the config of each, by name
	ruleSet  *rules.Set
	devices  []deviceSpec
	advice   []error
}

// deviceSpec is one device of the config: the common keys, and the driver
// with its own.
type deviceSpec struct {
	DeviceConfig
	driver drivers.Driver
	config any
}

// Load reads and checks a config file. It reports every error at once, as
// config.Errors.
func Load(path string) (*Loaded, error) {
	text, err := config.Read(path)
	if err != nil {
		return nil, err
	}
	l, err := parse(path, text)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// parse reads the text of a config file. Beside an error it gives what is right all the
// same.
func parse(path string, text []byte) (*Loaded, error) {
	l := &Loaded{path: path, text: text}
	root, err := config.Parse(path, text)
	if err != nil {
		return l, err
	}
	decoded := root.Decode(&l.Config)
	errs := []error{decoded}
	// The sections below are checked even if the rest is wrong, so that all
	// errors show at once.
	for _, section := range l.Upstreams {
		spec, err := loadUpstream(&section)
		l.upstream = spec
		errs = append(errs, err, l.checkLabelledLanes(&section, spec.config))
	}
	errs = append(errs, l.loadBuses())
	lanes := l.lanes()
	ids := make(map[string]bool)
	wired := newPlaces(l.buses)
	var all []string // what is called a device, also if something is wrong with it
	for _, section := range l.Devices {
		if id, named := section.Text("id"); named {
			all = append(all, id)
		}
		spec, err := loadDevice(&section)
		errs = append(errs, err)
		if err != nil {
			continue
		}
		if ids[spec.ID] {
			errs = append(errs, section.Errorf("id", "%q is the id of another device too; want a unique one", spec.ID))
		}
		if spec.ID == string(ownDevice) {
			errs = append(errs, section.Errorf("id", "%q is the gateway itself; want another id", spec.ID))
		}
		ids[spec.ID] = true
		if !slices.Contains(lanes, spec.Lane) {
			errs = append(errs, section.Errorf("lane", "there is no lane %q; want %s, or a lane named in queue.lanes", spec.Lane, strings.Join(lanes, ", ")))
		}
		errs = append(errs, wired.check(&section, spec))
		l.advise(&section, spec.config)
		l.devices = append(l.devices, spec)
	}
	errs = append(errs, l.checkPolicy())
	if !touches(decoded, "scenes") {
		errs = append(errs, l.checkScenes(root))
		l.checkMembers(root)
	}
	errs = append(errs, l.loadRules(root, all))
	return l, config.Join(errs...)
}

// checkLabelledLanes finds lanes that an upstream has words about and the
// queue does not have.
func (l *Loaded) checkLabelledLanes(section *config.Section, upstream any) error {
	labelled, ok := upstream.(interface{ LabelledLanes() []string })
	if !ok {
		return nil
	}
	lanes := append(l.lanes(), string(gateway.LaneResults), string(gateway.LaneGaps))
	for _, child := range l.upstream.children {
		lanes = append(lanes, string(child.lane.Results()))
	}
	var errs []error
	for _, lane := range labelled.LabelledLanes() {
		if !slices.Contains(lanes, lane) {
			errs = append(errs, section.Errorf("lane_properties."+lane, "there is no lane %q; want one of %s, or a lane named in queue.lanes", lane, strings.Join(lanes, ", ")))
		}
	}
	return config.Join(errs...)
}

// lanes are the lanes that devices may use.
func (l *Loaded) lanes() []string {
	names := []string{string(gateway.LaneTelemetry), string(gateway.LaneAlerts)}
	own := []gateway.Lane{gateway.LaneResults, gateway.LaneGaps, gateway.LaneDeadLetter}
	for name := range l.Queue.Lanes {
		if gateway.ValidLane(name) && !slices.Contains(names, name) && !slices.Contains(own, gateway.Lane(name)) {
			names = append(names, name)
		}
	}
	for _, child := range l.upstream.children {
		if !slices.Contains(names, string(child.lane)) {
			names = append(names, string(child.lane))
		}
	}
	slices.Sort(names)
	return names
}

// advise notes what is right and yet unwise in a section.
func (l *Loaded) advise(section *config.Section, decoded any) {
	advised, ok := decoded.(bus.Advised)
	if !ok {
		return
	}
	for _, a := range advised.Advice() {
		l.advice = append(l.advice, section.Errorf(a.Field, "%s", a.Problem))
	}
}

// Advice is what is right and yet unwise, each with its place in the file.
func (l *Loaded) Advice() []error { return l.advice }

func loadDevice(section *config.Section) (deviceSpec, error) {
	var spec deviceSpec
	name, _ := section.Text("driver")
	driver, known := drivers.Lookup(name)
	if !known {
		return spec, section.Errorf("driver", "%s; want %s", unknown("driver", name, driverNames()), strings.Join(driverNames(), ", "))
	}
	spec.driver, spec.config = driver, driver.Config()
	if err := section.Decode(&spec.DeviceConfig, spec.config); err != nil {
		return spec, err
	}
	return spec, config.Join(spec.checkProcessing(section), spec.checkIdle(section))
}

// checkIdle finds keys that would have no effect.
func (s *deviceSpec) checkIdle(section *config.Section) error {
	var errs []error
	if _, given := section.Text("heartbeat"); given && len(s.Deadband) == 0 {
		errs = append(errs, section.Errorf("heartbeat", "has no effect without deadband: nothing is held back that it could send; want a deadband, or leave it out"))
	}
	for _, key := range []string{"every", "timeout"} {
		if _, given := section.Text(key); given && !s.driver.Polled() && !config.HasKey(s.config, key) {
			errs = append(errs, section.Errorf(key, "has no effect with the driver %s, whose devices are not polled; leave it out", s.Driver))
		}
	}
	return config.Join(errs...)
}

// measuring is a driver's config that tells what its device delivers, by the
// names of quantities, with any value of the kind; nil if that is not known before.
type measuring interface {
	Quantities() map[string]gateway.Value
}

// keeping is a driver's config that tells whether each reading is promised an id.
type keeping interface {
	KeepsAll() bool
}

// checkProcessing finds what does not suit the driver.
func (s *deviceSpec) checkProcessing(section *config.Section) error {
	var errs []error
	if !s.driver.Measures() {
		for _, key := range s.Processing.Keys() {
			errs = append(errs, section.Errorf(key, "has no place with the driver %s, which gives no readings", s.Driver))
		}
		return config.Join(errs...)
	}
	if k, ok := s.config.(keeping); ok && k.KeepsAll() {
		for _, field := range s.HoldsBack() {
			errs = append(errs, section.Errorf(field, "has no place with the driver %s, which promises an id for each reading", s.Driver))
		}
	}
	if m, ok := s.config.(measuring); ok {
		if known := m.Quantities(); known != nil {
			errs = append(errs, section.Place(s.Check(known)))
		}
	}
	return config.Join(errs...)
}

// unknown says that there is no such kind of thing, and which was perhaps meant.
func unknown(what, name string, known []string) string {
	if name == "" {
		return "is missing"
	}
	hint := ""
	if near := config.Nearest(name, known); near != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", near)
	}
	return fmt.Sprintf("there is no %s %q%s", what, name, hint)
}

func driverNames() []string {
	var names []string
	for _, d := range drivers.List() {
		names = append(names, d.Name)
	}
	return names
}

// Schema is the JSON Schema (draft 2020-12) of the config file.
func Schema() map[string]any {
	devices := make(map[string]any)
	for _, d := range drivers.List() {
		devices[d.Name] = d.Config()
	}
	buses := make(map[string]any)
	for _, kind := range bus.Kinds() {
		buses[kind.Name] = kind.Config()
	}
	upstreams := make(map[string]any)
	for name, kind := range upstreamKinds {
		upstreams[name] = kind.config()
	}
	return config.Schema(Config{}, map[string]config.Variants{
		"buses":     {Key: "type", Common: BusConfig{}, Cases: buses},
		"devices":   {Key: "driver", Common: DeviceConfig{}, Cases: devices},
		"upstreams": {Key: "type", Common: UpstreamConfig{}, Cases: upstreams},
	})
}

// Summary says in a few words what the config describes.
func (l *Loaded) Summary() string {
	names := make([]string, 0, len(l.devices))
	for _, d := range l.devices {
		names = append(names, fmt.Sprintf("%s (%s)", d.ID, d.Driver))
	}
	return fmt.Sprintf("%d devices: %s", len(names), strings.Join(names, ", "))
}
