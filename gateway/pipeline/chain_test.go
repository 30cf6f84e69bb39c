package pipeline

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestOrderOfTheSteps: a raw value is first made true, then judged, summed up,
// and held back by what its summary is.
func TestOrderOfTheSteps(t *testing.T) {
	most := 50.0
	c := mustChain(t, Processing{
		Calibrate:  map[string]Calibration{"q": {Scale: 10}},
		ValidRange: map[string]ValidRange{"q": {Max: &most}},
		Window:     map[string]Window{"q": {Every: 10 * time.Second, Of: []string{"mean", "count"}}},
		Deadband:   map[string]string{"q": "1", "q.count": "change"}, Heartbeat: time.Hour,
	})
	for _, step := range []struct {
		at, raw float64
		want    string
	}{
		{0, 2, ""},
		{1, 4, ""},
		{2, 6, "q=60Cel!bad"}, // 60 is never in the mean
		{3, 6.01, ""},         // the band of q holds for what is bad, too
		{12, 3.05, "q.mean=30Cel q.count=2"},
		{13, 3.05, ""},
		{24, 9, "q=90Cel!bad"}, // 30.5 is within the band of 30, and 2 are 2
	} {
		got := told(c.Apply([]gateway.Reading{measured("q", step.raw, step.at)}, after(step.at)))
		if got != step.want {
			t.Errorf("at %v s: %q, want %q", step.at, got, step.want)
		}
	}
	want := ProcessingStats{Taken: 7, Summaries: 4, Sent: 4, Bad: 3, Windowed: 4, Suppressed: 3}
	if got := c.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestNotFiniteIsDroppedAndSaid(t *testing.T) {
	c := mustChain(t, Processing{Calibrate: map[string]Calibration{"q": {Scale: 1e300}}})
	out := c.Apply([]gateway.Reading{measured("q", 1e300, 0), measured("r", math.NaN(), 0), measured("s", 1, 0)}, after(0))
	if told(out) != "s=1Cel" || c.Stats().Dropped != 2 {
		t.Errorf("sent %s, %d dropped", told(out), c.Stats().Dropped)
	}
	if !c.problems.news(after(0)) || c.problems.news(after(1)) {
		t.Error("the problem is no news, or twice")
	}
	if s := c.problems.summary(); !strings.HasPrefix(s, "q: is not finite") || !strings.Contains(s, "; r: is not finite") {
		t.Errorf("said: %s", s)
	}
	if !c.problems.news(after(600)) || c.problems.summary() != "" {
		t.Errorf("after ten minutes: %s", c.problems.summary())
	}
}

func TestChainThatDoesNothing(t *testing.T) {
	c := mustChain(t, Processing{})
	in := []gateway.Reading{measured("a", 1, 0), measured("a", 1, 0)}
	if out := c.Apply(in, after(0)); told(out) != told(in) || !c.Due().IsZero() {
		t.Errorf("%s becomes %s, due %v", told(in), told(out), c.Due())
	}
}

// quantities have a step each, and q all of them.
func drawProcessing(t *rapid.T) Processing {
	band := rapid.SampledFrom([]string{"change", "0.5", "3", "10%"})
	span := rapid.SampledFrom([]time.Duration{time.Second, 7 * time.Second, time.Minute})
	low, high := -50.0, 50.0
	valid := ValidRange{Min: &low, Max: &high, Outside: rapid.SampledFrom([]string{"bad", "drop"}).Draw(t, "outside")}
	return Processing{
		Calibrate:  map[string]Calibration{"q": {Scale: 2, Offset: 1}},
		ValidRange: map[string]ValidRange{"banded": valid, "q": valid},
		Derive:     map[string]Derivation{"sum": {Value: "banded + limited", MaxAge: span.Draw(t, "age")}, "more": {Value: "1 / sum", MaxAge: time.Minute}},
		Alerts:     []AlertRule{{ID: "high", When: "banded > 20", Until: "banded < 0", For: span.Draw(t, "for")}},
		Window: map[string]Window{
			"windowed": {Every: span.Draw(t, "window"), Of: []string{"mean", "min", "max", "median", "count"}},
			"q":        {Every: span.Draw(t, "q window"), Of: []string{"mean"}},
		},
		Deadband:  map[string]string{"banded": band.Draw(t, "band"), "limited": band.Draw(t, "limited band"), "q": band.Draw(t, "q band")},
		Heartbeat: rapid.SampledFrom([]time.Duration{3 * time.Second, time.Hour}).Draw(t, "heartbeat"),
		RateLimit: map[string]time.Duration{"limited": span.Draw(t, "limit"), "q": span.Draw(t, "q limit")},
	}
}

// TestChainKeepsItsPromises walks through readings and time, and keeps books as
// a receiver would.
func TestChainKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProcessing(t)
		c, err := NewChain(p)
		if err != nil {
			t.Fatal(err)
		}
		w := witness{chain: c, plan: p, last: make(map[string]gateway.Reading), at: make(map[string]time.Time)}
		now := after(0)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 8000).Draw(t, "wait")) * time.Millisecond)
			name := rapid.SampledFrom([]string{"banded", "limited", "windowed", "q", ""}).Draw(t, "name")
			if name == "" {
				w.receive(t, c.Tick(now), now)
				if due := c.Due(); !due.IsZero() && !due.After(now) {
					t.Fatalf("after a tick, it is due %v ago", now.Sub(due))
				}
				continue
			}
			r := measured(name, rapid.Float64Range(-60, 60).Draw(t, "x"), 0)
			r.Quality = rapid.SampledFrom([]gateway.Quality{gateway.Good, gateway.Good, gateway.Uncertain, gateway.Bad}).Draw(t, "quality")
			w.receive(t, c.Apply([]gateway.Reading{r}, now), now)
			w.taken(t, r)
		}
		w.receive(t, c.Stop(now), time.Time{})
		w.settle(t)
	})
}

// witness is the receiver of what a chain sends.
type witness struct {
	chain *Chain
	plan  Processing
	// last is what was sent last of each quantity, at when.
	last map[string]gateway.Reading
	at   map[string]time.Time
	sent uint64
	// active is what was last told of the alert.
	active bool
	// newest is what was last measured of limited, samples those of windowed.
	newest  gateway.Reading
	samples float64
	counted float64
}

// receive takes what was sent. At a stop, now is zero: limits do not count.
func (w *witness) receive(t *rapid.T, out []gateway.Reading, now time.Time) {
	w.sent += uint64(len(out))
	for _, a := range w.chain.Alerts() {
		if a.Active == w.active {
			t.Fatalf("the alert is told twice: %+v", a)
		}
		w.active = a.Active
	}
	for _, r := range out {
		name := strings.TrimSuffix(r.Name, ".mean")
		if before, limited := w.at[r.Name], w.plan.RateLimit[name]; limited > 0 && !before.IsZero() && !now.IsZero() && now.Sub(before) < limited {
			t.Fatalf("%s came %v after the one before, the limit is %v", r.Name, now.Sub(before), limited)
		}
		w.last[r.Name], w.at[r.Name] = r, now
	}
	w.balance(t)
	if count, ok := w.last["windowed.count"]; ok {
		delete(w.last, "windowed.count")
		x := func(suffix string) float64 { v, _ := w.last["windowed."+suffix].Value.Number(); return v }
		n, _ := count.Value.Number()
		w.counted += n
		if x("min") > x("mean") || x("mean") > x("max") || x("min") > x("median") || x("median") > x("max") {
			t.Fatalf("min %v, mean %v, median %v, max %v", x("min"), x("mean"), x("median"), x("max"))
		}
	}
}

// taken checks the deadband against what was measured just now.
func (w *witness) taken(t *rapid.T, r gateway.Reading) {
	x, _ := r.Value.Number()
	switch r.Name {
	case "banded":
		if math.Abs(x) > 50 {
			if w.plan.ValidRange["banded"].Outside == "drop" {
				return
			}
			r.Quality = gateway.Bad
		}
		w.near(t, r)
	case "limited":
		w.newest = r
	case "windowed":
		if r.Quality != gateway.Bad {
			w.samples++
		}
	}
}

// near fails unless the receiver's value is within the band of the true one.
func (w *witness) near(t *rapid.T, truth gateway.Reading) {
	known := w.last[truth.Name]
	is, _ := truth.Value.Number()
	was, _ := known.Value.Number()
	band, _ := parseBand(w.plan.Deadband[truth.Name])
	if known.Quality != truth.Quality || !band.covers(was, is) {
		t.Fatalf("the receiver has %v %s of %s, it is %v %s, the band is %s", was, known.Quality, truth.Name, is, truth.Quality, w.plan.Deadband[truth.Name])
	}
}

// balance fails unless each reading is accounted for.
func (w *witness) balance(t *rapid.T) {
	s := w.chain.Stats()
	if in, out := s.Taken+s.Derived+s.Summaries, s.Sent+s.Dropped+s.Windowed+s.Suppressed+uint64(s.Held); in != out || s.Sent != w.sent {
		t.Fatalf("%+v: %d in, %d out; %d received", s, in, out, w.sent)
	}
}

// settle checks what only holds once all that was held is out.
func (w *witness) settle(t *rapid.T) {
	if s := w.chain.Stats(); s.Held != 0 || !w.chain.windows.soonest.IsZero() || !w.chain.limit.soonest.IsZero() {
		t.Fatalf("%+v after the stop", s)
	}
	if w.newest.Name != "" {
		w.near(t, w.newest)
	}
	if w.counted != w.samples {
		t.Fatalf("%v samples are counted, %v were taken", w.counted, w.samples)
	}
}
