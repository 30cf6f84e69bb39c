package audit

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const small = 60 // numbers in the tests of sets

// numbers lists a set one by one.
func numbers(s Ranges) map[uint64]bool {
	all := make(map[uint64]bool)
	for _, r := range s {
		for n := r.First; n <= r.Last; n++ {
			all[n] = true
		}
	}
	return all
}

func drawSet(t *rapid.T, name string) Ranges {
	var s Ranges
	for range rapid.IntRange(0, 12).Draw(t, name) {
		first := rapid.Uint64Range(1, small).Draw(t, "first")
		s.Add(first, min(small, first+rapid.Uint64Range(0, 8).Draw(t, "length")))
	}
	return s
}

// TestRangesAreSets: whatever is added, the ranges are the set of it, in order
// and apart from each other.
func TestRangesAreSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Ranges
		want := make(map[uint64]bool)
		for range rapid.IntRange(1, 30).Draw(t, "adds") {
			first := rapid.Uint64Range(1, small).Draw(t, "first")
			last := first + rapid.Uint64Range(0, 6).Draw(t, "length")
			fresh := uint64(0)
			for n := first; n <= last; n++ {
				if !want[n] {
					fresh++
				}
				want[n] = true
			}
			if got := s.Add(first, last); got != fresh {
				t.Fatalf("adding %d-%d to give %v: %d new, want %d", first, last, s, got, fresh)
			}
		}
		if got := numbers(s); len(got) != len(want) || s.Count() != uint64(len(want)) {
			t.Fatalf("%v has %d numbers, want %d", s, len(got), len(want))
		}
		for i, r := range s {
			if r.First > r.Last || i > 0 && s[i-1].Last+1 >= r.First {
				t.Fatalf("%v is not in order and apart", s)
			}
		}
	})
}

func TestMinusAndAbove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSet(t, "a"), drawSet(t, "b")
		before := slices.Clone(a)
		got, in, out := numbers(a.minus(b)), numbers(a), numbers(b)
		bound, above := rapid.Uint64Range(0, small+2).Draw(t, "bound"), uint64(0)
		for n := uint64(1); n <= small; n++ {
			if got[n] != (in[n] && !out[n]) {
				t.Fatalf("%v minus %v: %d is wrong", a, b, n)
			}
			if in[n] && n > bound {
				above++
			}
		}
		if got := a.above(bound); got != above {
			t.Fatalf("%v: %d above %d, want %d", a, got, bound, above)
		}
		if !slices.Equal(a, before) {
			t.Fatalf("%v was changed to %v", before, a)
		}
	})
}
