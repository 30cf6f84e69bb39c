package gpioinput

import (
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
)

// TestLooksBetweenEdges: the level is looked at while its edge is still on its
// way. That neither makes a pulse of a spike, nor hides one.
func TestLooksBetweenEdges(t *testing.T) {
	const still = 30 * time.Millisecond
	type event struct {
		at    time.Duration
		level bool
		look  bool
	}
	for _, c := range []struct {
		name   string
		events []event
		pulses int
	}{
		{"a spike", []event{{0, true, true}, {0, true, false}, {time.Millisecond, false, false}, {still + time.Millisecond, false, true}}, 0},
		{"a spike without edges", []event{{0, true, true}, {still, false, true}, {2 * still, false, true}}, 0},
		{
			"a pulse that ends as it is looked at",
			[]event{{0, true, false}, {still + 2*time.Millisecond, false, true}, {still + time.Millisecond, false, false}, {2*still + 2*time.Millisecond, false, true}},
			1,
		},
		{"a pulse whose first edge was missed", []event{{0, true, true}, {still, true, true}, {2 * still, false, false}, {3 * still, false, true}}, 1},
		{"a pulse whose last edge was missed", []event{{0, true, false}, {still, true, true}, {2 * still, false, true}, {3 * still, false, true}}, 1},
		{"two pulses", []event{{0, true, false}, {still, false, false}, {2 * still, true, false}, {3 * still, true, true}, {3 * still, false, false}, {4 * still, false, true}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := settler{still: still}
			start, pulses := time.Now(), 0
			for _, e := range c.events {
				at, changed := start.Add(e.at), false
				if e.look {
					changed = s.seen(e.level, at)
				} else {
					changed = s.edge(gpiochip.Edge{Active: e.level, At: at, Seq: 1})
				}
				if changed && s.state {
					pulses++
				}
			}
			if pulses != c.pulses || s.state || !s.due().IsZero() {
				t.Errorf("%d pulses, at the end %+v; want %d and rest", pulses, s, c.pulses)
			}
		})
	}
}
