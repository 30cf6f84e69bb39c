package hwmon

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus/attr"
	"github.com/fieldpost/fieldpost/gateway"
)

// quantity is what a kind of channel measures: its attributes count in a
// fraction of the unit.
type quantity struct {
	name, unit string
	scale      float64
}

var quantities = map[string]quantity{
	"temp":     {"temperature", "Cel", 1e-3},
	"in":       {"voltage", "V", 1e-3},
	"curr":     {"current", "A", 1e-3},
	"power":    {"power", "W", 1e-6},
	"energy":   {"energy", "J", 1e-6},
	"humidity": {"humidity", "%RH", 1e-3},
	"fan":      {"fan", "1/min", 1},
}

// channel is one channel of a chip.
type channel struct {
	name  string // as in temp1
	of    quantity
	label string
	input string // path of the value
	fault string // path; empty if the channel has none
}

var inputShape = regexp.MustCompile(`^((temp|in|curr|power|energy|humidity|fan)\d{1,3})_(input|average)$`)

// channelsOf lists the channels of a chip: those that are wanted, or all.
func channelsOf(dir string, wanted []string) ([]channel, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, gateway.ErrUnavailable)
	}
	var all []channel
	var names []string
	for _, e := range entries { // sorted: of power1_average and power1_input the latter counts
		m := inputShape.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		c := channelAt(dir, m[1], m[2], e.Name())
		if n := len(names); n > 0 && names[n-1] == c.name {
			all, names = all[:n-1], names[:n-1]
		}
		all, names = append(all, c), append(names, c.name)
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("the chip has no channel %s; it has %s: %w", name, attr.List(names), gateway.ErrInvalid)
		}
	}
	if len(wanted) > 0 {
		all = slices.DeleteFunc(all, func(c channel) bool { return !slices.Contains(wanted, c.name) })
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the chip has no channel that can be read: %w", gateway.ErrInvalid)
	}
	distinct(all)
	return all, nil
}

func channelAt(dir, name, kind, input string) channel {
	c := channel{name: name, of: quantities[kind], label: name[len(kind):], input: filepath.Join(dir, input)}
	if label, err := attr.Text(filepath.Join(dir, name+"_label")); err == nil && label != "" {
		c.label = clean(label)
	}
	if fault := filepath.Join(dir, name+"_fault"); attr.Exists(fault) {
		c.fault = fault
	}
	return c
}

// distinct gives channels whose labels are those of others their numbers back.
func distinct(channels []channel) {
	count := make(map[string]int)
	for _, c := range channels {
		count[c.of.name+"."+c.label]++
	}
	for i, c := range channels {
		if count[c.of.name+"."+c.label] > 1 {
			channels[i].label = strings.TrimLeft(c.name, "abcdefghijklmnopqrstuvwxyz")
		}
	}
}

// clean makes a part of a reading's name of a label.
func clean(label string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(label))
}

// Name implements attr.Channel.
func (c channel) Name() string { return c.name }

// Read reads the channel, unless it says itself that its sensor is broken.
func (c channel) Read() (gateway.Reading, error) {
	if c.fault != "" {
		broken, err := attr.Number(c.fault)
		if err != nil {
			return gateway.Reading{}, err
		}
		if broken != 0 {
			return gateway.Reading{}, fmt.Errorf("the chip says that its sensor is open or shorted: %w", gateway.ErrInvalid)
		}
	}
	n, err := attr.Number(c.input)
	if err != nil {
		return gateway.Reading{}, err
	}
	return gateway.Reading{Name: c.of.name + "." + c.label, Value: gateway.Number(scaled(n, c.of.scale)), Unit: c.of.unit}, nil
}

// scaled keeps 25080 thousandths 25.08.
func scaled(n, scale float64) float64 {
	if scale == 1 {
		return n
	}
	return n / (1 / scale)
}
