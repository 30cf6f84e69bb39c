package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// circles warns of rules that begin each other in a circle, as far as that can be
// seen: a command of one sets a quantity in the condition of the next. A rule may
// end its own condition; it goes in a circle if it has an otherwise too.
func circles(rules []*rule, world World) (advice []gateway.FieldError) {
	next := make([][]int, len(rules))
	for i, from := range rules {
		for j, to := range rules {
			if (i != j || from.do != nil && from.otherwise != nil) && from.moves(to, world) {
				next[i] = append(next[i], j)
			}
		}
	}
	for start := range rules {
		if circle := circleFrom(start, next); circle != nil {
			var names []string
			for _, i := range append(circle, start) {
				names = append(names, rules[i].ID)
			}
			advice = append(advice, gateway.FieldError{
				Field:   fmt.Sprintf("rules[%s]", rules[start].ID),
				Problem: "can go round in a circle, since what each does can begin or end the next: " + strings.Join(names, ", "),
			})
		}
	}
	return advice
}

// moves tells whether a command of the rule sets what another one goes by.
func (r *rule) moves(to *rule, world World) bool {
	for _, cmd := range []*command{r.do, r.otherwise} {
		if cmd == nil {
			continue
		}
		for _, in := range to.inputs {
			if in.device != cmd.device {
				continue
			}
			sets := world.Devices[cmd.device].Sets
			if sets != nil && slices.Contains(sets(gateway.Command{Device: cmd.device, Action: cmd.action, Args: cmd.args}), in.quantity) {
				return true
			}
		}
	}
	return false
}

// circleFrom is the shortest circle through start, of which start is the first in
// the order of the file; nil if there is none.
func circleFrom(start int, next [][]int) []int {
	paths := [][]int{{start}}
	seen := map[int]bool{}
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		for _, i := range next[path[len(path)-1]] {
			if i == start {
				return path
			}
			if i > start && !seen[i] {
				seen[i] = true
				paths = append(paths, append(slices.Clone(path), i))
			}
		}
	}
	return nil
}
