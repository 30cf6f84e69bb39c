package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
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
