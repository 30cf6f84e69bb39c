package pipeline

import "github.com/fieldpost/fieldpost/gateway"

// ValidRange is what a quantity can really be, both ends included.
type ValidRange struct {
	Min     *float64 `yaml:"min" doc:"Least number that is right." example:"-40"`
	Max     *float64 `yaml:"max" doc:"Greatest number that is right." example:"85"`
	Outside string   `yaml:"outside" doc:"What is done with a number outside: it is sent with quality bad, for diagnosis, or dropped and counted." default:"bad" oneof:"bad|drop"`
}

// outsideDrop is what Outside says of numbers that are dropped.
const outsideDrop = "drop"

func (v *ValidRange) check(f *faults, field string) {
	switch {
	case v.Min == nil && v.Max == nil:
		f.add(field, "has no bound; want min, max or both")
	case v.Min != nil && v.Max != nil && *v.Min > *v.Max:
		f.add(field+".min", "%v is above max, %v", *v.Min, *v.Max)
	}
}

// holds tells whether x is inside.
func (v *ValidRange) holds(x float64) bool {
	return (v.Min == nil || x >= *v.Min) && (v.Max == nil || x <= *v.Max)
}

// validator is the step of a Chain that judges numbers. A text or a boolean is
// always right.
type validator map[string]ValidRange

// apply marks a number that is outside, and reports whether it is, and whether
// it is to be dropped.
func (v validator) apply(r *gateway.Reading) (outside, drop bool) {
	x, isNumber := r.Value.Number()
	if !isNumber {
		return false, false
	}
	valid, found := v[r.Name]
	if !found || valid.holds(x) {
		return false, false
	}
	r.Quality = gateway.Bad
	return true, valid.Outside == outsideDrop
}
