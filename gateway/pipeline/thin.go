package pipeline

import (
	"math"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// The names of the readings that stand for the samples of a window, behind the
// name of the quantity.
const (
	suffixMean  = ".mean"
	suffixMin   = ".min"
	suffixMax   = ".max"
	suffixCount = ".count"
	maxSuffix   = len(suffixCount)
)

const (
	// summaryReadings is how many readings a summary has. Fewer samples than
	// it would save go as they came.
	summaryReadings = 4
	// maxThinned bounds the quantities that are thinned at a time; what goes
	// beyond passes as it comes.
	maxThinned = 4096
)

// quantity is what samples must have in common to be summed up together.
type quantity struct {
	device     gateway.DeviceID
	name, unit string
	quality    gateway.Quality
}

// thinner collects the samples of one window. Only numbers are thinned: a
// boolean or a text is a state, of which each change counts.
type thinner struct {
	due    time.Time // when the window ends; valid while it holds samples
	byName map[quantity]*samples
	order  []*samples // by first arrival
}

// samples of one quantity.
type samples struct {
	quantity
	few            []gateway.Reading // the first of them
	count          int
	mean, min, max float64
	last           time.Time
}

func (t *thinner) empty() bool { return len(t.order) == 0 }

// take keeps a reading for the summary and reports true, or false if the
// reading must go as it is. The first one opens the window.
func (t *thinner) take(r gateway.Reading, now time.Time, window time.Duration) bool {
	x, isNumber := r.Value.Number()
	if !isNumber || math.IsNaN(x) || math.IsInf(x, 0) || len(r.Name)+maxSuffix > MaxNameBytes {
		return false
	}
	q := quantity{r.Device, r.Name, r.Unit, r.Quality}
	s := t.byName[q]
	if s == nil {
		if len(t.order) >= maxThinned {
			return false
		}
		s = t.open(q, now, window)
	}
	s.add(r, x)
	return true
}

func (t *thinner) open(q quantity, now time.Time, window time.Duration) *samples {
	if t.empty() {
		t.due, t.byName = now.Add(window), make(map[quantity]*samples)
	}
	s := &samples{quantity: q}
	t.byName[q] = s
	t.order = append(t.order, s)
	return s
}

// close ends the window and gives what stands for its samples, and how many
// samples those were.
func (t *thinner) close() (readings []gateway.Reading, taken int) {
	for _, s := range t.order {
		readings = append(readings, s.readings()...)
		taken += s.count
	}
	*t = thinner{}
	return readings, taken
}

func (s *samples) add(r gateway.Reading, x float64) {
	if s.count < summaryReadings {
		s.few = append(s.few, r)
	}
	if s.count == 0 {
		s.min, s.max = x, x
	}
	s.count++
	s.min, s.max = min(s.min, x), max(s.max, x)
	s.mean += (x - s.mean) / float64(s.count)
	s.last = r.Time
}

// readings are the summary, dated like the last sample, or the samples
// themselves if these are not more.
func (s *samples) readings() []gateway.Reading {
	if s.count <= summaryReadings {
		return s.few
	}
	of := func(suffix string, x float64, unit string) gateway.Reading {
		return gateway.Reading{
			Device: s.device, Name: s.name + suffix, Value: gateway.Number(x),
			Unit: unit, Time: s.last, Quality: s.quality,
		}
	}
	return []gateway.Reading{
		of(suffixMean, s.mean, s.unit), of(suffixMin, s.min, s.unit), of(suffixMax, s.max, s.unit),
		of(suffixCount, float64(s.count), ""),
	}
}
