package policy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// Order groups the devices so that each comes before those that it leans on: the
// order in which they are to take their safe state.
func (p *Policy) Order() (groups [][]gateway.DeviceID) {
	left := slices.Clone(p.ids)
	for len(left) > 0 {
		var group, rest []gateway.DeviceID
		for _, id := range left {
			leant := slices.ContainsFunc(left, func(other gateway.DeviceID) bool { return p.leans(other, id) })
			if leant {
				rest = append(rest, id)
			} else {
				group = append(group, id)
			}
		}
		if group == nil { // in a circle, which a check of the config refuses
			group, rest = left, nil
		}
		groups, left = append(groups, group), rest
	}
	return groups
}

// Rest takes those to their safe state that lean on others, each before what it
// leans on. The others are left to whoever closes them. It is for the stop, when no
// command is carried out any more; a second one does nothing.
func (p *Policy) Rest() {
	p.mu.Lock()
	rested := p.rested
	p.rested = true
	p.mu.Unlock()
	if rested { // the devices are closed by now
		return
	}
	groups := p.Order()
	for _, group := range groups[:max(0, len(groups)-1)] {
		var safing sync.WaitGroup
		for _, id := range group {
			d := p.devices[id]
			if d.Safer == nil || d.state() == nil {
				continue
			}
			safing.Go(func() {
				if err := p.makeSafe(d); err != nil {
					p.log.Warn("device has not taken its safe state before those that it leans on", "device", d.ID, "error", err)
				}
			})
		}
		safing.Wait()
	}
}

func (p *Policy) leans(a, b gateway.DeviceID) bool {
	of, on := p.devices[a], p.devices[b]
	return a != b && of.interlock.names(on) && of.interlock.leansOn(on)
}

// maxTrials bounds how many combinations of values are tried.
const maxTrials = 20_000

// leansOn tells whether the safe state of a device can make the condition false:
// whether, for some values of everything else, it is true with the device away and
// false with it at rest. So the valve of a pump is told from a second pump that must
// not run with it. Values are tried around the numbers that the condition has.
func (l *interlock) leansOn(d *device) bool {
	choices := make([][]any, len(l.inputs))
	own := make([]bool, len(l.inputs))
	for i, in := range l.inputs {
		choices[i] = literals(l.text)
		if _, set := d.rest[in.quantity]; set && in.device == d.ID {
			own[i] = true
		}
	}
	for trial := range min(combinations(choices), maxTrials) {
		away, rest := make(map[string]any), make(map[string]any)
		for i, in := range l.inputs {
			v := choices[i][trial%len(choices[i])]
			trial /= len(choices[i])
			away[in.name], rest[in.name] = v, v
			if own[i] {
				rest[in.name] = expression.Plain(d.rest[in.quantity])
			}
		}
		if l.isTrue(away) && !l.isTrue(rest) {
			return true
		}
	}
	return false
}

func (l *interlock) isTrue(values map[string]any) bool {
	result, err := l.condition.Run(&l.machine, values)
	isTrue, _ := result.(bool)
	return err == nil && isTrue
}

func combinations(choices [][]any) int {
	n := 1
	for _, c := range choices {
		if n *= len(c); n > maxTrials {
			return maxTrials
		}
	}
	return n
}

var (
	numberShape = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
	textShape   = regexp.MustCompile(`"[^"]*"|'[^']*'`)
)

// literals are values that a condition may tell apart.
func literals(text string) []any {
	values := []any{true, false, 0.0, -1e9, 1e9}
	for _, s := range textShape.FindAllString(text, -1) {
		values = append(values, strings.Trim(s, `"'`))
	}
	for _, s := range numberShape.FindAllString(text, -1) {
		if x, err := strconv.ParseFloat(s, 64); err == nil {
			values = append(values, x-1, x, x+1)
		}
	}
	return values
}
