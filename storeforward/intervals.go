package storeforward

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
)

// interval is a run of sequence numbers, both ends included.
type interval struct{ first, last uint64 }

// intervals are runs in ascending order that neither overlap nor touch.
type intervals []interval

// at returns the index of the first run that ends at or behind seq.
func (s intervals) at(seq uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].last >= seq })
}

func (s intervals) has(seq uint64) bool {
	i := s.at(seq)
	return i < len(s) && s[i].first <= seq
}

// past returns the first number from seq on that is in no run.
func (s intervals) past(seq uint64) uint64 {
	if i := s.at(seq); i < len(s) && s[i].first <= seq {
		return s[i].last + 1
	}
	return seq
}

// covers reports whether all numbers from first to last are in.
func (s intervals) covers(first, last uint64) bool {
	return first > last || s.past(first) > last
}

// count is how many numbers from first to last are in.
func (s intervals) count(first, last uint64) (n uint64) {
	for _, run := range s[s.at(first):] {
		if run.first > last {
			break
		}
		n += min(run.last, last) - max(run.first, first) + 1
	}
	return n
}

// add puts the numbers from first to last in and says how many were not in yet.
func (s *intervals) add(first, last uint64) (fresh uint64) {
	fresh = last - first + 1 - s.count(first, last)
	from := 0
	if first > 0 {
		from = s.at(first - 1) // a run that only touches is joined too
	}
	to := from
	for to < len(*s) && (*s)[to].first <= last+1 {
		first, last = min(first, (*s)[to].first), max(last, (*s)[to].last)
		to++
	}
	*s = slices.Replace(*s, from, to, interval{first, last})
	return fresh
}

// cut removes all numbers up to last.
func (s *intervals) cut(last uint64) {
	i := s.at(last + 1)
	*s = slices.Delete(*s, 0, i)
	if len(*s) > 0 && (*s)[0].first <= last {
		(*s)[0].first = last + 1
	}
}

// maxIntervals is how many runs a cursor keeps. In ordinary work there are none
// or a few; what does not fit is sent again after a restart.
const maxIntervals = 32

// longest returns the longest runs, as many as a cursor keeps, in ascending order.
func (s intervals) longest() intervals {
	if len(s) <= maxIntervals {
		return slices.Clone(s)
	}
	list := slices.Clone(s)
	slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(b.last-b.first, a.last-a.first) })
	list = list[:maxIntervals]
	slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(a.first, b.first) })
	return list
}

// append encodes the runs as the distances between their ends, beginning
// behind base.
func (s intervals) append(buf []byte, base uint64) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(s)))
	for _, run := range s {
		buf = binary.AppendUvarint(buf, run.first-base)
		buf = binary.AppendUvarint(buf, run.last-run.first)
		base = run.last
	}
	return buf
}

func (d *decoder) intervals(base uint64) (s intervals) {
	n := d.uvarint()
	if n > maxIntervals {
		d.fail()
		return nil
	}
	for range n {
		first := base + d.uvarint()
		last := first + d.uvarint()
		if d.err != nil || first < base || first-base < 2 || last < first {
			d.fail()
			return nil
		}
		s = append(s, interval{first, last})
		base = last
	}
	return s
}
