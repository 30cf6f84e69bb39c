package service

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// settings are what the hub may change of the config. They come as desired
// properties of the twin:
//
//	"settings": {"devices": {"air": {"every": "30s", "deadband": {"temperature": "0.5"}}}, "ca": "-----BEGIN…"}
type settings struct {
	devices map[gateway.DeviceID]tuning
	// ca are certificates in PEM form that count in place of those of ca_file;
	// nil: these do.
	ca []byte
}

// parse reads settings, whole: the faults name every place that is wrong, and
// then nothing of it counts. A certificate must not have ended now; of settings
// that have been in force, now is zero, since they were judged when they came.
func (s scope) parse(raw map[string]any, now time.Time) (settings, []string) {
	p := settingsParser{scope: s, now: now}
	p.parsed.devices = make(map[gateway.DeviceID]tuning)
	p.object("settings", raw, map[string]func(string, any){"devices": p.devices, "ca": p.ca})
	if len(p.faults) > 0 {
		slices.Sort(p.faults)
		return settings{}, p.faults
	}
	return p.parsed, nil
}

type settingsParser struct {
	scope  scope
	now    time.Time
	parsed settings
	faults []string
}

func (p *settingsParser) fault(place, format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf("%.200s: %s", place, fmt.Sprintf(format, args...)))
}

// object reads the members of an object, each with the function of its name.
func (p *settingsParser) object(place string, v any, members map[string]func(place string, v any)) {
	object, ok := v.(map[string]any)
	if !ok {
		p.fault(place, "want an object")
		return
	}
	for name, value := range object {
		read, known := members[name]
		if !known {
			p.fault(place+"."+name, "unknown; want %s", strings.Join(slices.Sorted(maps.Keys(members)), ", "))
			continue
		}
		read(place+"."+name, value)
	}
}

func (p *settingsParser) devices(place string, v any) {
	devices, ok := v.(map[string]any)
	if !ok {
		p.fault(place, "want an object of devices")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(devices)) { // of two spellings of an id, the same counts each time
		place, id := place+"."+key, gateway.DeviceID(unescapeKey(key))
		if d, known := p.scope[id]; known {
			p.device(place, d, devices[key])
		} else {
			p.fault(place, "there is no such device; want one of %s", strings.Join(p.scope.names(), ", "))
		}
	}
}

// escapeKey makes a key of the twin of an id: a hub takes no dots, dollars and
// spaces there.
func escapeKey(id string) string {
	var b strings.Builder
	for _, r := range id {
		if strings.ContainsRune("%.$ ", r) || r < ' ' {
			fmt.Fprintf(&b, "%%%02X", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unescapeKey gives back what escapeKey was given.
func unescapeKey(key string) string {
	if id, err := url.PathUnescape(key); err == nil {
		return id
	}
	return key
}
