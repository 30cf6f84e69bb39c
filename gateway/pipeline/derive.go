package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// Derivation makes a quantity of others of the same device. It is calculated
// whenever one of them comes, is dated like the latest of them, and has the
// worst of their qualities.
type Derivation struct {
	Value  string        `yaml:"value" doc:"How it is calculated: with quantities, numbers, + - * / **, comparisons, and, or, not, a ? b : c, and abs, atan, ceil, cos, exp, floor, log, log10, max, min, round, sin, sqrt, tan. A name that is no word is written value(\"flow-rate\")." required:"true" example:"temperature - (100 - humidity) / 5"`
	Unit   string        `yaml:"unit" doc:"Unit of the result." example:"Cel"`
	MaxAge time.Duration `yaml:"max_age" doc:"Nothing is derived from a quantity that came longer ago than this." default:"1m" min:"1s" max:"7d"`
}

// derivation is one at work.
type derivation struct {
	*expression.Expression
	name, unit string
	maxAge     time.Duration
}

// derivations compiles, and puts those that others need first.
func derivations(all map[string]Derivation, f *faults) (ordered []derivation) {
	var left []derivation
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f.name("derive", name)
		d := all[name]
		e, err := expression.Compile(d.Value, nil)
		switch {
		case err != nil:
			f.add("derive."+name+".value", "%v", err)
		case len(e.Inputs) == 0:
			f.add("derive."+name+".value", "names no quantity, so that it would never be calculated")
		default:
			left = append(left, derivation{e, name, d.Unit, d.MaxAge})
		}
	}
	waits := func(d derivation) bool {
		return slices.ContainsFunc(left, func(other derivation) bool { return slices.Contains(d.Inputs, other.name) })
	}
	for len(left) > 0 {
		ready := slices.IndexFunc(left, func(d derivation) bool { return !waits(d) })
		if ready < 0 {
			f.add("derive."+left[0].name+".value", "is needed for itself, by way of %s", strings.Join(left[0].Inputs, ", "))
			return ordered
		}
		ordered = append(ordered, left[ready])
		left = slices.Delete(left, ready, ready+1)
	}
	return ordered
}

// of calculates from the values of a scope, if one of them is fresh and none
// is missing. A fault is noted in p.
func (d *derivation) of(s *scope, now time.Time, machine *expression.Machine, p *problems) (r gateway.Reading, ok bool) {
	if !s.isFresh(d.Inputs) {
		return r, false
	}
	quality, latest, complete := s.state(d.Inputs, now, d.maxAge)
	if !complete {
		return r, false
	}
	result, err := d.Run(machine, s.values)
	v, isValue := valueOf(result)
	if err == nil && !isValue {
		err = fmt.Errorf("the result is %v, which is no value", result)
	}
	if err != nil {
		p.note("derive."+d.name+".value", err.Error(), now)
		return r, false
	}
	return gateway.Reading{Device: s.device, Name: d.name, Value: v, Unit: d.unit, Time: latest, Quality: quality}, true
}
