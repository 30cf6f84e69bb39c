package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// Processing says what is done with the readings of a device between its driver
// and the batcher, by the names of its quantities. It is a part of the device's
// config. What is left out is not done; the order is that of the fields.
type Processing struct {
	Calibrate  map[string]Calibration   `yaml:"calibrate" doc:"Corrections of numbers, by quantity."`
	ValidRange map[string]ValidRange    `yaml:"valid_range" doc:"The numbers that a quantity can really have. What is outside is marked bad, or dropped."`
	Derive     map[string]Derivation    `yaml:"derive" doc:"Quantities that are calculated from others."`
	Alerts     []AlertRule              `yaml:"alerts" doc:"Conditions whose beginning and end are told at once, in the lane alerts."`
	Window     map[string]Window        `yaml:"window" doc:"Quantities of which, once per window, a summary is sent in place of the samples."`
	Deadband   map[string]string        `yaml:"deadband" doc:"Quantities that are sent only when they have changed: by more than a number in their unit, by more than a share of the value, or at all." pattern:"^(change|[0-9]{1,15}(\\.[0-9]{1,15})?%?)$" want:"a number such as 0.1, a share such as 2%, or the word change"`
	Heartbeat  time.Duration            `yaml:"heartbeat" doc:"A quantity with a deadband is sent at least so often, although it does not change." default:"15m" min:"1s" max:"7d"`
	RateLimit  map[string]time.Duration `yaml:"rate_limit" doc:"Quantities of which at most one reading is sent in this time: the first at once, then the last of those that came meanwhile." min:"100ms" max:"24h"`
}

// Validate finds what no tag can say.
func (p *Processing) Validate() error {
	_, err := NewChain(*p)
	return err
}

// HoldsBack names the keys of what may keep a reading from being sent. They
// have no place where each reading is promised an id.
func (p *Processing) HoldsBack() (fields []string) {
	for _, name := range slices.Sorted(maps.Keys(p.ValidRange)) {
		if p.ValidRange[name].Outside == outsideDrop {
			fields = append(fields, "valid_range."+name+".outside")
		}
	}
	if len(p.Window) > 0 {
		fields = append(fields, "window")
	}
	if len(p.Deadband) > 0 {
		fields = append(fields, "deadband")
	}
	if len(p.RateLimit) > 0 {
		fields = append(fields, "rate_limit")
	}
	return fields
}

// Check finds what cannot be right with a device that has these quantities and
// no others: names that it does not have, and expressions that do not suit the
// kinds of their values. The values are any of the kind. Call Validate first.
func (p *Processing) Check(known map[string]gateway.Value) error {
	var f faults
	c, err := NewChain(*p)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.names.wanted)) {
		if _, has := known[name]; !has {
			f.add(c.names.wanted[name], "there is no quantity %q; this device has %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	for _, d := range c.calculate.derive {
		if _, has := known[d.name]; has {
			f.add("derive."+d.name, "the device has a quantity of this name itself; want another name")
		}
		if _, err := expression.Compile(p.Derive[d.name].Value, known); err != nil {
			f.add("derive."+d.name+".value", "%v", err)
		}
	}
	for i, a := range p.Alerts {
		for key, text := range map[string]string{"when": a.When, "until": a.Until} {
			if _, err := expression.Condition(text, known); err != nil && text != "" {
				f.add(fmt.Sprintf("alerts[%d].%s", i, key), "%v", err)
			}
		}
	}
	return f.join()
}

// Keys are those that are set.
func (p *Processing) Keys() (keys []string) {
	for key, n := range map[string]int{
		"calibrate": len(p.Calibrate), "valid_range": len(p.ValidRange), "derive": len(p.Derive), "alerts": len(p.Alerts),
		"window": len(p.Window), "deadband": len(p.Deadband), "rate_limit": len(p.RateLimit),
	} {
		if n > 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// maxQuantityBytes bounds a name in the config, so that what is made of it is a
// name too.
const maxQuantityBytes = MaxNameBytes - len(suffixMedian)

// faults collects what is wrong with a Processing.
type faults []error

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// name checks the name of a quantity.
func (f *faults) name(step, name string) {
	if name == "" || len(name) > maxQuantityBytes {
		f.add(step, "%.40q cannot name a quantity; want 1 to %d bytes", name, maxQuantityBytes)
	}
}

func (f faults) join() error { return errors.Join(f...) }
