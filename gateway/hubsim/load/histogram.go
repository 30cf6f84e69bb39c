package load

import (
	"math"
	"time"
)

// histogram counts durations in buckets that grow by a tenth each, from 1 µs to
// beyond an hour: percentiles are right to ten percent, and memory does not
// grow.
type histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

const buckets = 256

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
	h.max = max(h.max, d)
}

func bucket(d time.Duration) int {
	if d <= time.Microsecond {
		return 0
	}
	return min(int(math.Log(float64(d)/float64(time.Microsecond))/math.Log(1.1))+1, buckets-1)
}

// percentile is the duration that a share of all did not exceed, 0 if there is
// none.
func (h *histogram) percentile(share float64) time.Duration {
	want := uint64(math.Ceil(share * float64(h.total)))
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; seen >= want && n > 0 && i < buckets-1 {
			upper := time.Duration(math.Pow(1.1, float64(i)) * float64(time.Microsecond))
			return min(upper, h.max)
		}
	}
	return h.max
}
