package storeforward

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIntervalsAgreeWithASet of numbers.
func TestIntervalsAgreeWithASet(t *testing.T) {
	const top = 60
	rapid.Check(t, func(t *rapid.T) {
		var runs intervals
		set := make(map[uint64]bool)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			first := rapid.Uint64Range(1, top).Draw(t, "first")
			last := min(top, first+rapid.Uint64Range(0, 5).Draw(t, "more"))
			if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
				runs.cut(last)
				for n := range last + 1 {
					delete(set, n)
				}
				continue
			}
			fresh := uint64(0)
			for n := first; n <= last; n++ {
				if !set[n] {
					fresh++
				}
				set[n] = true
			}
			if got := runs.add(first, last); got != fresh {
				t.Fatalf("%d fresh, want %d", got, fresh)
			}
		}
		checkRuns(t, runs, set, top)
	})
}

func checkRuns(t *rapid.T, runs intervals, set map[uint64]bool, top uint64) {
	for i, run := range runs {
		if run.first > run.last || (i > 0 && run.first < runs[i-1].last+2) {
			t.Fatalf("%v is not in order", runs)
		}
	}
	past := top + 1
	for n := top; n >= 1; n-- {
		if !set[n] {
			past = n
		}
		if runs.has(n) != set[n] || runs.past(n) != past || runs.covers(n, n) != set[n] {
			t.Fatalf("%d of %v: has %v, past %d, want %v and %d", n, runs, runs.has(n), runs.past(n), set[n], past)
		}
	}
	if got := runs.count(1, top); got != uint64(len(set)) {
		t.Fatalf("%d numbers in %v, want %d", got, runs, len(set))
	}
}

// TestIntervalsSurviveTheDisk, as many as are kept.
func TestIntervalsSurviveTheDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Uint64Range(0, 1<<40).Draw(t, "base")
		var runs intervals
		at := base + 2
		for range rapid.IntRange(0, 2*maxIntervals).Draw(t, "runs") {
			first := at + rapid.Uint64Range(0, 1000).Draw(t, "skip")
			last := first + rapid.Uint64Range(0, 1000).Draw(t, "length")
			runs = append(runs, interval{first, last})
			at = last + 2
		}
		kept := runs.longest()
		d := decoder{data: kept.append(nil, base)}
		back := d.intervals(base)
		if d.err != nil || len(d.data) != 0 || (len(kept) > 0 && !reflect.DeepEqual(back, kept)) {
			t.Fatalf("%v comes back as %v: %v", kept, back, d.err)
		}
		if len(kept) != min(len(runs), maxIntervals) {
			t.Fatalf("%d of %d kept", len(kept), len(runs))
		}
		shortest := uint64(1 << 62)
		for _, run := range kept {
			shortest = min(shortest, run.last-run.first)
		}
		for _, run := range runs {
			if len(runs) > maxIntervals && run.last-run.first > shortest && !kept.has(run.first) {
				t.Fatalf("%v is longer than what is kept", run)
			}
		}
	})
}

// TestTheLongestRunsAreKept, however much longer they are.
func TestTheLongestRunsAreKept(t *testing.T) {
	var all, long intervals
	at := uint64(10)
	for n := range uint64(2 * maxIntervals) {
		length := n % 2 << 32 * (n + 1)
		run := interval{at, at + length}
		all = append(all, run)
		if length > 0 {
			long = append(long, run)
		}
		at = run.last + 2
	}
	if got := all.longest(); !slices.Equal(got, long) {
		t.Errorf("got %v, want %v", got, long)
	}
}
