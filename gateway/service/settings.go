package service

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// settings are what the hub may change of the config. They come as desired
// properties of the twin:
//
//	"settings": {"devices": {"air": {"every": "30s", "enabled": false}}, "ca": "-----BEGIN…"}
type settings struct {
	devices map[gateway.DeviceID]deviceSettings
	// ca are certificates in PEM form that count in place of those of ca_file;
	// nil: these do.
	ca []byte
}

// deviceSettings lie over the config of one device; nil is as the config says.
type deviceSettings struct {
	every   *time.Duration
	enabled *bool
}

// Bounds of every, as in the config.
const (
	minEvery = 100 * time.Millisecond
	maxEvery = 24 * time.Hour
)

// over is the pace that results.
func (s deviceSettings) over(base time.Duration) pipeline.Pace {
	p := pipeline.Pace{Every: base, Enabled: true}
	if s.every != nil {
		p.Every = *s.every
	}
	if s.enabled != nil {
		p.Enabled = *s.enabled
	}
	return p
}

// scope says which devices settings can be for: whether each is polled.
type scope map[gateway.DeviceID]bool

func (s scope) names() string {
	var names []string
	for id, polled := range s {
		if polled {
			names = append(names, string(id))
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none is polled"
	}
	return strings.Join(names, ", ")
}

// parse reads settings, whole: the faults name every place that is wrong, and
// then nothing of it counts. A certificate must not have ended now; of settings
// that have been in force, now is zero, since they were judged when they came.
func (s scope) parse(raw map[string]any, now time.Time) (settings, []string) {
	p := settingsParser{scope: s, now: now}
	p.parsed.devices = make(map[gateway.DeviceID]deviceSettings)
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
	for key, value := range devices {
		place := place + "." + key
		id := gateway.DeviceID(unescapeKey(key))
		polled, known := p.scope[id]
		switch {
		case !known:
			p.fault(place, "there is no such device; polled ones: %s", p.scope.names())
		case !polled:
			p.fault(place, "this device is not polled; those that are: %s", p.scope.names())
		default:
			p.device(place, id, value)
		}
	}
}

func (p *settingsParser) device(place string, id gateway.DeviceID, v any) {
	var d deviceSettings
	p.object(place, v, map[string]func(string, any){
		"every": func(place string, v any) {
			every, err := parseEvery(v)
			if err != nil {
				p.fault(place, "%v; want a time from %v to 24h, such as \"30s\"", err, minEvery)
			}
			d.every = &every
		},
		"enabled": func(place string, v any) {
			enabled, ok := v.(bool)
			if !ok {
				p.fault(place, "want true or false")
			}
			d.enabled = &enabled
		},
	})
	p.parsed.devices[id] = d
}

func parseEvery(v any) (time.Duration, error) {
	text, ok := v.(string)
	if !ok {
		return 0, errors.New("this is no text")
	}
	every, err := config.ParseDuration(text)
	if err == nil && (every < minEvery || every > maxEvery) {
		err = fmt.Errorf("%.40s is not allowed", text)
	}
	return every, err
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
