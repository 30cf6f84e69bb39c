package drivertest

import (
	"context"
	"math"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// nameShape is what drivers name their quantities, actions and arguments. What
// there can be several of has a dot and its own name behind it.
var nameShape = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[A-Za-z0-9_./:@-]+)?$`)

// actionShape is that of actions.
var actionShape = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[A-Za-z0-9_./:@-]+)?$`)

func testSensor(t *testing.T, s gateway.Sensor) {
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for range 3 {
		var readings []gateway.Reading
		var err error
		within(t, "Read", func() { readings, err = s.Read(ctx) })
		if err != nil {
			t.Errorf("Read: %v", err)
		}
		if len(readings) == 0 {
			t.Error("Read gives no reading")
		}
		checkReadings(t, readings)
	}
	within(t, "Read with a context that is over", func() { _, _ = s.Read(ended(t)) })
}

// checkReadings holds readings against what the pipeline expects of a driver.
func checkReadings(t *testing.T, readings []gateway.Reading) {
	t.Helper()
	seen := make(map[string]bool)
	for _, r := range readings {
		key := string(r.Device) + " " + r.Name
		if seen[key] {
			t.Errorf("%s: twice in one Read", r.Name)
		}
		seen[key] = true
		checkReading(t, r)
	}
}

func checkReading(t *testing.T, r gateway.Reading) {
	t.Helper()
	if !nameShape.MatchString(r.Name) {
		t.Errorf("name %q: want small letters, digits and _, then perhaps a dot and what it is of", r.Name)
	}
	if !slices.Contains(units, r.Unit) {
		t.Errorf("%s: unit %q is none that is known; want a SenML or UCUM code, or a new line in drivertest/units.go", r.Name, r.Unit)
	}
	number, isNumber := r.Value.Number()
	if isNumber && (math.IsNaN(number) || math.IsInf(number, 0)) {
		t.Errorf("%s: value %v; a value that is no number is an error, not a reading", r.Name, r.Value)
	}
	if !isNumber && r.Unit != "" {
		t.Errorf("%s: %v has the unit %s, which only a number can have", r.Name, r.Value, r.Unit)
	}
	switch r.Quality {
	case "", gateway.Good, gateway.Uncertain, gateway.Bad:
	default:
		t.Errorf("%s: quality %q", r.Name, r.Quality)
	}
	if !r.Time.IsZero() && time.Since(r.Time).Abs() > time.Hour {
		t.Errorf("%s: time %v; leave it out unless the device knows better", r.Name, r.Time)
	}
}

// WantQuantities checks that readings are those that a config announces by its
// method Quantities, of the same kinds.
func WantQuantities(t *testing.T, announced map[string]gateway.Value, readings []gateway.Reading) {
	t.Helper()
	for _, r := range readings {
		want, known := announced[r.Name]
		_, isNumber := r.Value.Number()
		_, wantNumber := want.Number()
		if !known || isNumber != wantNumber {
			t.Errorf("%s %v is read; announced are %v", r.Name, r.Value, announced)
		}
	}
	if len(readings) != len(announced) {
		t.Errorf("%d readings; announced are %v", len(readings), announced)
	}
}
