package audit

import (
	"fmt"
	"slices"
)

// Range is the sequence numbers First to Last, both included.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Count is how many numbers the range has.
func (r Range) Count() uint64 { return r.Last - r.First + 1 }

func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Ranges is a set of numbers, as ranges in order that do not touch.
type Ranges []Range

// Add puts the numbers first to last into the set, where 1 <= first <= last,
// and returns how many of them are new.
func (s *Ranges) Add(first, last uint64) (fresh uint64) {
	set := *s
	// The ranges from begin up to end touch the new one and become one with it.
	begin, _ := slices.BinarySearchFunc(set, first, func(r Range, n uint64) int {
		if r.Last < n-1 {
			return -1
		}
		return 1
	})
	whole, end := Range{first, last}, begin
	fresh = whole.Count()
	for ; end < len(set) && set[end].First-1 <= last; end++ {
		fresh -= common(set[end], Range{first, last})
		whole.First, whole.Last = min(whole.First, set[end].First), max(whole.Last, set[end].Last)
	}
	*s = slices.Replace(set, begin, end, whole)
	return fresh
}

// common is how many numbers two ranges share.
func common(a, b Range) uint64 {
	first, last := max(a.First, b.First), min(a.Last, b.Last)
	if first > last {
		return 0
	}
	return last - first + 1
}

// Count is how many numbers are in the set.
func (s Ranges) Count() (n uint64) {
	for _, r := range s {
		n += r.Count()
	}
	return n
}

// above is how many numbers of the set are greater than n.
func (s Ranges) above(n uint64) (count uint64) {
	for _, r := range s {
		if r.Last > n {
			count += r.Last - max(n, r.First-1)
		}
	}
	return count
}

// minus is the numbers of the set that are not in other.
func (s Ranges) minus(other Ranges) Ranges {
	var left Ranges
	i := 0
	for _, r := range s {
		for i < len(other) && other[i].Last < r.First {
			i++
		}
		next := r.First // the first number of r that is not dealt with
		for j := i; j < len(other) && other[j].First <= r.Last; j++ {
			if other[j].First > next {
				left = append(left, Range{next, other[j].First - 1})
			}
			next = max(next, other[j].Last+1)
		}
		if next <= r.Last {
			left = append(left, Range{next, r.Last})
		}
	}
	return left
}
