package pipeline

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// So much must a device have delivered before it counts as strange that a
	// quantity which the config names is not among it.
	namesAfterBatches = 3
	namesAfter        = time.Minute
	// maxNamesTold bounds the names in one problem.
	maxNamesTold = 20
)

// names watches for quantities that the config names and the device never
// delivers: one that is misspelt would go unnoticed.
type names struct {
	// wanted are those that have not come yet, with the place that names them.
	wanted  map[string]string
	come    []string // at most maxNamesTold
	batches int
	first   time.Time
}

// newNames wants what a config names, in expressions too, and does not make
// itself before it is named: what is derived can be used from there on, what
// windows make only by the steps after them.
func newNames(p *Processing, c *calculator) names {
	n := names{wanted: make(map[string]string)}
	summaries := make(map[string]bool)
	for quantity, w := range p.Window {
		for _, of := range w.Of {
			summaries[quantity+"."+of] = true
		}
	}
	for _, d := range c.derive {
		n.want("derive."+d.name+".value", d.Inputs)
	}
	for _, r := range c.rules {
		n.want("alerts["+r.ID+"]", r.inputs)
	}
	wantEach(&n, "calibrate", p.Calibrate, nil)
	wantEach(&n, "valid_range", p.ValidRange, nil)
	wantEach(&n, "window", p.Window, nil)
	wantEach(&n, "deadband", p.Deadband, summaries)
	wantEach(&n, "rate_limit", p.RateLimit, summaries)
	for name := range p.Derive {
		delete(n.wanted, name)
	}
	return n
}

// wantEach wants the names that a step has something for, but for those that are
// made before it.
func wantEach[T any](n *names, step string, named map[string]T, made map[string]bool) {
	for name := range named {
		if !made[name] {
			n.want(step+"."+name, []string{name})
		}
	}
}

// want notes quantities, and the place in the config that names them.
func (n *names) want(place string, quantities []string) {
	for _, name := range quantities {
		if _, had := n.wanted[name]; !had {
			n.wanted[name] = place
		}
	}
}

// saw notes that a quantity has come.
func (n *names) saw(name string) {
	if len(n.wanted) == 0 {
		return
	}
	delete(n.wanted, name)
	if len(n.come) < maxNamesTold && !slices.Contains(n.come, name) {
		n.come = append(n.come, name)
	}
}

// batch counts what came together, and notes what is strange.
func (n *names) batch(now time.Time, p *problems) {
	if len(n.wanted) == 0 {
		return
	}
	if n.batches++; n.batches == 1 {
		n.first = now
	}
	if n.batches < namesAfterBatches || now.Sub(n.first) < namesAfter {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.wanted)) {
		p.note(n.wanted[name], "no reading named "+name+" has come; the device has "+strings.Join(n.come, ", "), now)
	}
}
