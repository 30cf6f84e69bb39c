package iothub

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// LabelConfig is what the config adds to every message, so that routes of the
// hub can tell them apart without looking into the body.
type LabelConfig struct {
	UserID         string                       `yaml:"user_id" doc:"User id that every message carries, up to 128 bytes; none if left out" example:"greenhouse-7"`
	Properties     map[string]string            `yaml:"properties" doc:"Application properties of every message, for routing queries. Each is counted with every message, by the hub and by the data plan" example:"{site: north}"`
	LaneProperties map[string]map[string]string `yaml:"lane_properties" doc:"The same by lane of the queue; where both name a property, this one holds" example:"{alerts: {severity: high}}"`
}

const (
	maxUserIDBytes = 128
	// maxLabelBytes bounds names and values of what the config adds to the
	// messages of one lane. The largest batch still fits beside it.
	maxLabelBytes = 4096
)

// ownProperties are the application properties that fieldpost itself sets.
var ownProperties = []string{creationTimeProperty, "store", "lane", "seq", "kind"}

// labels are the properties that the config adds to each message.
type labels struct {
	userID string
	all    []property
	byLane map[gateway.Lane][]property
}

func newLabels(c LabelConfig) labels {
	l := labels{userID: c.UserID, all: sorted(c.Properties), byLane: map[gateway.Lane][]property{}}
	for lane, own := range c.LaneProperties {
		l.byLane[gateway.Lane(lane)] = sorted(overlay(c.Properties, own))
	}
	return l
}

// of are the application properties for messages of a lane.
func (l labels) of(lane gateway.Lane) []property {
	if own, ok := l.byLane[lane]; ok {
		return own
	}
	return l.all
}

// overlay puts own over base. The hub's routing queries do not tell the case
// of names apart.
func overlay(base, own map[string]string) map[string]string {
	merged := maps.Clone(own)
	for name, value := range base {
		if !hasFold(own, name) {
			merged[name] = value
		}
	}
	return merged
}

func hasFold(m map[string]string, name string) bool {
	for other := range m {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

func sorted(m map[string]string) []property {
	var all []property
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, property{name, m[name]})
	}
	return all
}

// LabelledLanes are the lanes that lane_properties names.
func (c LabelConfig) LabelledLanes() []string {
	return slices.Sorted(maps.Keys(c.LaneProperties))
}

// check reports each field at fault.
func (c LabelConfig) check(fault func(field, problem string)) {
	if problem := checkText(c.UserID, maxUserIDBytes); problem != "" {
		fault("user_id", problem)
	}
	checkLabels("properties", c.Properties, fault)
	for _, lane := range c.LabelledLanes() {
		field := "lane_properties." + lane
		checkLabels(field, c.LaneProperties[lane], fault)
		if n := labelBytes(overlay(c.Properties, c.LaneProperties[lane])); n > maxLabelBytes {
			fault(field, fmt.Sprintf("makes %d bytes together with properties, want %d at most", n, maxLabelBytes))
		}
	}
}

func checkLabels(field string, m map[string]string, fault func(field, problem string)) {
	before := ""
	for _, name := range slices.SortedFunc(maps.Keys(m), compareFold) {
		problem := checkText(m[name], maxLabelBytes)
		switch {
		case !validPropertyName(name):
			problem = "want a name of letters, digits and !#$%&'*+-.^_`|~"
		case strings.HasPrefix(name, "$") || strings.HasPrefix(strings.ToLower(name), "iothub-"):
			problem = "names that begin with $ or iothub- are the hub's own"
		case isOwn(name):
			problem = "is set by fieldpost itself, choose another name"
		case strings.EqualFold(name, before):
			problem = "is there twice: routing queries do not tell the case of names apart"
		}
		if problem != "" {
			fault(field+"."+name, problem)
		}
		before = name
	}
	if n := labelBytes(m); n > maxLabelBytes {
		fault(field, fmt.Sprintf("has %d bytes in names and values, want %d at most", n, maxLabelBytes))
	}
}

// compareFold puts names next to each other that differ in case alone, lower
// case first.
func compareFold(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(b, a))
}

func isOwn(name string) bool {
	return slices.ContainsFunc(ownProperties, func(own string) bool { return strings.EqualFold(own, name) })
}

func labelBytes(m map[string]string) int {
	n := 0
	for name, value := range m {
		n += len(name) + len(value)
	}
	return n
}

// checkText tells what is wrong with a value, if anything.
func checkText(s string, limit int) string {
	switch {
	case len(s) > limit:
		return fmt.Sprintf("has %d bytes, want %d at most", len(s), limit)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "want text without control characters"
	}
	return ""
}

// validPropertyName keeps to the characters that Microsoft's "Create and read
// IoT Hub messages" allows in the names of application properties.
func validPropertyName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") == ""
}
