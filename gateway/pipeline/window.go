package pipeline

import (
	"fmt"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	suffixMedian = ".median"
	// maxSamples bounds the samples that are kept for a median: a window that has
	// so many closes early.
	maxSamples = 4096
	// maxTracked bounds the quantities that a step of a Chain remembers. A device
	// that stands for many others may have more: those pass as they come.
	maxTracked = 1024
)

// Window sums up the samples of a quantity.
type Window struct {
	Every time.Duration `yaml:"every" doc:"Length of a window." required:"true" min:"1s" max:"24h" example:"1m"`
	Of    []string      `yaml:"of" doc:"What is sent of a window: temperature.mean and so on, dated like its last sample. A window with a median closes early when it has 4096 samples." default:"[mean]" oneof:"mean|median|min|max|count"`
}

func (w *Window) check(f *faults, field string) {
	if len(w.Of) == 0 {
		f.add(field+".of", "is empty; want some of mean, median, min, max, count")
	}
	for i, of := range w.Of {
		if slices.Contains(w.Of[:i], of) {
			f.add(fmt.Sprintf("%s.of[%d]", field, i), "%s stands there twice", of)
		}
	}
}

// names are the quantities that take the place of one, without the count.
func (w *Window) names(quantity string) (names []string) {
	for _, of := range w.Of {
		if of != "count" {
			names = append(names, quantity+"."+of)
		}
	}
	return names
}

// windower is the step of a Chain that sums numbers up.
type windower struct {
	plans   map[string]Window
	tracks  map[readingKey]*track
	order   []*track // by first arrival
	soonest time.Time
}

// track is one quantity and its window, which is open while it has samples.
type track struct {
	readingKey
	plan           Window
	due            time.Time // of the window that is open, or was last
	count          int
	mean, min, max float64
	samples        []float64 // for a median
	like           gateway.Reading
}

// take adds a reading to its window and reports true, or false if the reading
// has none. What closes because of it is appended to closed.
func (w *windower) take(r *gateway.Reading, now time.Time, closed []gateway.Reading) (_ []gateway.Reading, taken bool) {
	x, isNumber := r.Value.Number()
	if !isNumber || r.Quality == gateway.Bad {
		return closed, false
	}
	plan, planned := w.plans[r.Name]
	if !planned {
		return closed, false
	}
	key := readingKey{r.Device, r.Name}
	t := w.tracks[key]
	if t == nil {
		if len(w.order) >= maxTracked {
			return closed, false
		}
		t = &track{readingKey: key, plan: plan}
		w.tracks[key] = t
		w.order = append(w.order, t)
	}
	if t.count > 0 && t.like.Unit != r.Unit {
		closed = t.close(closed)
	}
	if t.count == 0 {
		t.open(now)
		w.soonest = sooner(w.soonest, t.due)
	}
	t.add(r, x)
	if len(t.samples) >= maxSamples {
		closed = t.close(closed)
	}
	return closed, true
}

// tick closes the windows whose time is over.
func (w *windower) tick(now time.Time, closed []gateway.Reading) []gateway.Reading {
	if w.soonest.IsZero() || now.Before(w.soonest) {
		return closed
	}
	w.soonest = time.Time{}
	for _, t := range w.order {
		if t.count > 0 && !now.Before(t.due) {
			closed = t.close(closed)
		}
		if t.count > 0 {
			w.soonest = sooner(w.soonest, t.due)
		}
	}
	return closed
}

// stop closes all windows.
func (w *windower) stop(closed []gateway.Reading) []gateway.Reading {
	w.soonest = time.Time{}
	for _, t := range w.order {
		if t.count > 0 {
			closed = t.close(closed)
		}
	}
	return closed
}

// open begins a window. It follows the one before without a gap, so that the
// samples of a steady pace fall evenly into windows.
func (t *track) open(now time.Time) {
	next := t.due.Add(t.plan.Every)
	if t.due.IsZero() || now.Before(t.due) || !now.Before(next) {
		next = now.Add(t.plan.Every)
	}
	t.due = next
}

func (t *track) add(r *gateway.Reading, x float64) {
	worst := gateway.Good
	if t.count == 0 {
		t.min, t.max, t.mean = x, x, 0
	} else {
		worst = t.like.Quality
	}
	t.count++
	t.min, t.max = min(t.min, x), max(t.max, x)
	n := float64(t.count)
	t.mean += x/n - t.mean/n // a difference of the two could overflow
	if slices.Contains(t.plan.Of, "median") {
		t.samples = append(t.samples, x)
	}
	t.like = *r
	t.like.Quality = worse(worst, r.Quality)
}

// close appends what stands for the samples.
func (t *track) close(closed []gateway.Reading) []gateway.Reading {
	for _, of := range t.plan.Of {
		r := t.like
		r.Name += "." + of
		r.Seq = 0
		switch of {
		case "mean":
			r.Value = gateway.Number(min(max(neat(t.mean), t.min), t.max)) // never outside by rounding
		case "median":
			r.Value = gateway.Number(min(max(neat(median(t.samples)), t.min), t.max))
		case "min":
			r.Value = gateway.Number(t.min)
		case "max":
			r.Value = gateway.Number(t.max)
		case "count":
			r.Value, r.Unit = gateway.Number(float64(t.count)), ""
		}
		closed = append(closed, r)
	}
	t.count, t.samples = 0, t.samples[:0]
	return closed
}

// median sorts what it is given.
func median(samples []float64) float64 {
	slices.Sort(samples)
	n := len(samples)
	return samples[(n-1)/2]/2 + samples[n/2]/2
}

// worse is the lower one of two qualities.
func worse(a, b gateway.Quality) gateway.Quality {
	for _, q := range []gateway.Quality{gateway.Bad, gateway.Uncertain} {
		if a == q || b == q {
			return q
		}
	}
	return gateway.Good
}

// sooner is the earlier of two times of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
