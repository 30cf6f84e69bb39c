package pipeline

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// problemLasts is how long a problem stands after it was last seen, so that
	// one that comes and goes is one line in the log.
	problemLasts = 10 * time.Minute
	// maxProblems bounds what is remembered and said of one device.
	maxProblems = 16
)

// problems are what goes wrong in a Chain: each has a place, such as
// derive.dew_point, and a reason that does not change with each reading.
type problems struct {
	byPlace map[string]problem
	changed bool
}

type problem struct {
	reason string
	last   time.Time
}

// note remembers a problem. Of a place, the first reason counts while it lasts.
func (p *problems) note(place, reason string, now time.Time) {
	if old, had := p.byPlace[place]; had {
		p.byPlace[place] = problem{old.reason, now}
		return
	}
	if len(p.byPlace) >= maxProblems {
		return
	}
	if p.byPlace == nil {
		p.byPlace = make(map[string]problem)
	}
	p.byPlace[place] = problem{reason, now}
	p.changed = true
}

// news forgets what is over and tells whether anything has changed since it
// was last asked.
func (p *problems) news(now time.Time) bool {
	for place, one := range p.byPlace {
		if now.Sub(one.last) >= problemLasts {
			delete(p.byPlace, place)
			p.changed = true
		}
	}
	changed := p.changed
	p.changed = false
	return changed
}

// due is when the next of them is over unless it is seen again; zero is never.
func (p *problems) due() (soonest time.Time) {
	for _, one := range p.byPlace {
		soonest = sooner(soonest, one.last.Add(problemLasts))
	}
	return soonest
}

// summary is in words; empty if all is well.
func (p *problems) summary() string {
	var parts []string
	for _, place := range slices.Sorted(maps.Keys(p.byPlace)) {
		parts = append(parts, place+": "+p.byPlace[place].reason)
	}
	return strings.Join(parts, "; ")
}
