package service

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// tuning is what of a device can change while it works: as the config has it, with
// the settings of the hub over it.
type tuning struct {
	pace       pipeline.Pace // zero if the device is not polled
	processing pipeline.Processing
	// set names the settings of the hub in it.
	set []string
}

func (s *deviceSpec) tuning() tuning {
	t := tuning{processing: s.Processing}
	if s.driver.Polled() {
		t.pace = pipeline.Pace{Every: s.Every, Enabled: true}
	}
	return t
}

// tunable is a device at work.
type tunable struct {
	base   tuning // of the config
	source source // of its readings, by which the device at work is known
	// setPace is nil if the device is not polled.
	setPace       func(pipeline.Pace)
	setProcessing func(pipeline.Processing) error
}

// apply sets what differs from what is set.
func (d tunable) apply(now, next tuning) error {
	if next.pace != now.pace {
		d.setPace(next.pace)
	}
	if reflect.DeepEqual(next.processing, now.processing) {
		return nil
	}
	return d.setProcessing(next.processing)
}

// scope are the devices that settings can be for, as the config has them.
type scope map[gateway.DeviceID]configured

// configured is a device of the config, and the section that it was made of.
type configured struct {
	deviceSpec
	section *config.Section
}

// scope is that of a config without faults.
func (l *Loaded) scope() scope {
	s := make(scope)
	for i, d := range l.devices {
		s[gateway.DeviceID(d.ID)] = configured{d, &l.Devices[i]}
	}
	return s
}

func (s scope) names() (names []string) {
	for id := range s {
		names = append(names, string(id))
	}
	slices.Sort(names)
	return names
}

// sectionKeys are the keys of a device's section that the hub may set.
var sectionKeys = []string{"every", "valid_range", "alerts", "window", "deadband", "heartbeat", "rate_limit"}

// device reads the settings of one device. But for enabled, which the config does not
// have, they are laid over its section, and that is judged as if it stood in the file.
func (p *settingsParser) device(place string, d configured, v any) {
	tuned, over := d.tuning(), make(map[string]any)
	members := make(map[string]func(string, any))
	for _, key := range sectionKeys {
		members[key] = func(_ string, v any) { over[key] = patch(v) }
	}
	members["alerts"] = func(place string, v any) {
		switch rules := patch(v).(type) {
		case nil:
			over["alerts"] = nil
		case map[string]any:
			over["alerts"] = config.ByID(rules)
		default:
			p.fault(place, "want an object of alerts, each by its id")
		}
	}
	members["enabled"] = func(place string, v any) {
		enabled, ok := v.(bool)
		if !ok {
			p.fault(place, "want true or false")
		}
		tuned.pace.Enabled = enabled
	}
	if !d.driver.Polled() {
		for _, key := range []string{"every", "enabled"} {
			members[key] = func(place string, _ any) {
				p.fault(place, "has no effect with the driver %s, whose devices are not polled", d.Driver)
			}
		}
	}
	p.object(place, v, members)
	with := p.overlaid(place, d, over)
	tuned.pace.Every, tuned.processing = with.pace.Every, with.processing
	if object, ok := v.(map[string]any); ok {
		tuned.set = slices.Sorted(maps.Keys(object))
	}
	p.parsed.devices[gateway.DeviceID(d.ID)] = tuned
}

// overlaid is the device as it would be with that in its section.
func (p *settingsParser) overlaid(place string, d configured, over map[string]any) tuning {
	section, err := d.section.Overlay(place, over)
	spec, wrong := loadDevice(section)
	var faults config.Errors
	if errors.As(config.Join(err, wrong), &faults) {
		for _, f := range faults {
			p.fault(f.Path, "%s", f.Problem)
		}
	}
	return spec.tuning()
}

// patch makes of a setting what config.Section.Overlay takes: names as they are in the
// config, and null for what is to be taken out, which a twin cannot hold and has as
// false.
func patch(v any) any {
	switch v := v.(type) {
	case bool:
		if !v {
			return nil
		}
	case map[string]any:
		object := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) { // as with ids
			object[unescapeKey(key)] = patch(v[key])
		}
		return object
	}
	return v
}
