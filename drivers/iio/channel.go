package iio

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus/attr"
	"github.com/fieldpost/fieldpost/gateway"
)

// quantity is what a type of channel measures. The kernel's unit times factor
// is ours, or divided by it if that is written more exactly so.
type quantity struct {
	name, unit      string
	times, dividend float64
}

var quantities = map[string]quantity{
	"temp":              {"temperature", "Cel", 1, 1000},
	"pressure":          {"pressure", "Pa", 1000, 1},
	"humidityrelative":  {"humidity", "%RH", 1, 1000},
	"voltage":           {"voltage", "V", 1, 1000},
	"current":           {"current", "A", 1, 1000},
	"power":             {"power", "W", 1, 1000},
	"resistance":        {"resistance", "Ohm", 1, 1},
	"illuminance":       {"illuminance", "lx", 1, 1},
	"distance":          {"distance", "m", 1, 1},
	"accel":             {"acceleration", "m/s2", 1, 1},
	"anglvel":           {"rotation", "rad/s", 1, 1},
	"magn":              {"magnetic_field", "T", 1, 10000}, // of gauss
	"concentration":     {"concentration", "ppm", 10000, 1},
	"massconcentration": {"mass_concentration", "ug/m3", 1, 1},
	"intensity":         {"intensity", "", 1, 1},
	"proximity":         {"proximity", "", 1, 1},
	"count":             {"count", "", 1, 1},
}

var (
	attributeShape = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	// channelShape has the type of a channel, its number or two for a difference,
	// its axis or what else modifies it, and whether the kernel has scaled it.
	channelShape = regexp.MustCompile(`^in_(([a-z]+)(\d{0,3})(?:-[a-z]+(\d{1,3}))?(?:_([a-z0-9]+))?)_(raw|input)$`)
)

// channel is one channel of a chip.
type channel struct {
	name          string // between in_ and _raw
	reading, unit string
	value         string  // path
	factor        float64 // of the value, after the offset
	divisor       float64
	offset        float64
}

// channelsOf lists the channels of a chip: those that are wanted, or all.
func channelsOf(dir string, wanted []string) ([]channel, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, gateway.ErrUnavailable)
	}
	var all []channel
	var names []string
	for _, e := range entries { // sorted: in_x_input comes before in_x_raw, and is better
		m := channelShape.FindStringSubmatch(e.Name())
		if m == nil || slices.Contains(names, m[1]) {
			continue
		}
		if _, known := quantities[m[2]]; !known {
			continue
		}
		names = append(names, m[1])
		if len(wanted) > 0 && !slices.Contains(wanted, m[1]) {
			continue
		}
		c, err := channelAt(dir, m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m[1], err)
		}
		all = append(all, c)
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("the chip has no channel %s; it has %s: %w", name, attr.List(names), gateway.ErrInvalid)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the chip has no channel that can be read: %w", gateway.ErrInvalid)
	}
	return all, nil
}

// channelAt makes a channel of the parts that channelShape finds.
func channelAt(dir string, m []string) (channel, error) {
	name, kind, number, second, modifier, form := m[1], m[2], m[3], m[4], m[5], m[6]
	q := quantities[kind]
	c := channel{
		name: name, reading: q.name, unit: q.unit,
		value: filepath.Join(dir, "in_"+name+"_"+form), factor: q.times, divisor: q.dividend,
	}
	if second != "" {
		number += "-" + second
	}
	for _, part := range []string{number, modifier} {
		if part != "" {
			c.reading += "." + part
		}
	}
	if form == "input" {
		return c, nil
	}
	scale, err := shared(dir, name, kind, modifier, "scale")
	if err != nil {
		return c, err
	}
	if math.IsNaN(scale) {
		c.reading, c.unit, c.factor, c.divisor = c.reading+".raw", "", 1, 1
		return c, nil
	}
	c.factor *= scale
	offset, err := shared(dir, name, kind, modifier, "offset")
	if err == nil && !math.IsNaN(offset) {
		c.offset = offset
	}
	return c, err
}

// shared reads an attribute that a channel has for itself, or shares with those
// of its type; NaN if there is none.
func shared(dir, name, kind, modifier, what string) (float64, error) {
	of := []string{name, kind}
	if strings.Contains(name, "-") {
		of = []string{name, kind + "-" + kind, kind}
	} else if modifier != "" {
		of = []string{name, kind + "_" + modifier, kind}
	}
	for _, n := range of {
		if path := filepath.Join(dir, "in_"+n+"_"+what); attr.Exists(path) {
			return attr.Number(path)
		}
	}
	return math.NaN(), nil
}

// Name implements attr.Channel.
func (c channel) Name() string { return c.name }

// Read gives the value in our unit.
func (c channel) Read() (gateway.Reading, error) {
	n, err := attr.Number(c.value)
	if err != nil {
		return gateway.Reading{}, err
	}
	value := (n + c.offset) * c.factor / cmp.Or(c.divisor, 1)
	return gateway.Reading{Name: c.reading, Value: gateway.Number(value), Unit: c.unit}, nil
}
