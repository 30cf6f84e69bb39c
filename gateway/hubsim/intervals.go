package hubsim

import "slices"

// span is the numbers first to last, both included; first is at least 1.
type span struct{ first, last uint64 }

func (s span) size() uint64 { return s.last - s.first + 1 }

// intervals is a set of numbers as sorted spans that do not touch: a lane
// without holes takes one span, however long it is.
type intervals []span

// add puts the numbers of s into the set and returns how many are new.
func (set *intervals) add(s span) uint64 {
	old := *set
	// i is the first span that s touches or that lies behind s; j the first
	// that lies behind s and does not touch it.
	i, _ := slices.BinarySearchFunc(old, s.first, func(have span, first uint64) int {
		if have.last < first-1 {
			return -1
		}
		return 1
	})
	merged, known, j := s, uint64(0), i
	for ; j < len(old) && old[j].first-1 <= s.last; j++ {
		known += overlap(old[j], s)
		merged = span{min(merged.first, old[j].first), max(merged.last, old[j].last)}
	}
	if j == i+1 {
		old[i] = merged
	} else {
		*set = slices.Replace(old, i, j, merged)
	}
	return s.size() - known
}

func overlap(a, b span) uint64 {
	first, last := max(a.first, b.first), min(a.last, b.last)
	if first > last {
		return 0
	}
	return last - first + 1
}

// shared is how many numbers are in both sets.
func (set intervals) shared(other intervals) (n uint64) {
	for i, j := 0, 0; i < len(set) && j < len(other); {
		n += overlap(set[i], other[j])
		if set[i].last < other[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}

// total is how many numbers are in the set.
func (set intervals) total() (n uint64) {
	for _, s := range set {
		n += s.size()
	}
	return n
}
