package pipeline

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// dawn is where the times of these tests begin; it has a monotonic part, and
// so have those made of it.
var dawn = time.Now()

// after is a moment of a test.
func after(seconds float64) time.Time { return dawn.Add(time.Duration(seconds * float64(time.Second))) }

// measured is a good number that was read at a moment.
func measured(name string, x, seconds float64) gateway.Reading {
	return gateway.Reading{Device: "air", Name: name, Value: gateway.Number(x), Unit: "Cel", Time: after(seconds), Quality: gateway.Good}
}

// told is the short form of readings, for comparisons.
func told(readings []gateway.Reading) string {
	var parts []string
	for _, r := range readings {
		part := r.Name + "=" + r.Value.String() + r.Unit
		if r.Quality != gateway.Good {
			part += "!" + string(r.Quality)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func newWindower(plans map[string]Window) windower {
	return windower{plans: plans, tracks: make(map[readingKey]*track)}
}

// put is take for tests.
func (w *windower) put(r gateway.Reading, now time.Time) (closed []gateway.Reading, taken bool) {
	closed = w.tick(now, nil)
	return w.take(&r, now, closed)
}

func TestWindowSumsUp(t *testing.T) {
	for _, c := range []struct {
		of      []string
		samples []float64
		want    string
	}{
		{[]string{"mean"}, []float64{1, 2, 6}, "q.mean=3Cel"},
		{[]string{"min", "max"}, []float64{4, -2, 6}, "q.min=-2Cel q.max=6Cel"},
		{[]string{"median"}, []float64{9, 1, 2}, "q.median=2Cel"},
		{[]string{"median"}, []float64{9, 1, 3, 2}, "q.median=2.5Cel"},
		{[]string{"count", "mean"}, []float64{5}, "q.count=1 q.mean=5Cel"},
		{[]string{"mean", "median"}, []float64{math.MaxFloat64, math.MaxFloat64}, fmt.Sprintf("q.mean=%[1]sCel q.median=%[1]sCel", gateway.Number(math.MaxFloat64))},
		{[]string{"mean"}, []float64{math.MaxFloat64, -math.MaxFloat64}, "q.mean=0Cel"},
	} {
		w := newWindower(map[string]Window{"q": {Every: time.Minute, Of: c.of}})
		for i, x := range c.samples {
			if closed, taken := w.put(measured("q", x, float64(i)), after(float64(i))); len(closed) > 0 || !taken {
				t.Fatalf("taken %v, closed %v", taken, closed)
			}
		}
		if early := w.tick(after(59.9), nil); len(early) > 0 {
			t.Errorf("closed early: %v", early)
		}
		got := w.tick(after(60), nil)
		if told(got) != c.want {
			t.Errorf("%v of %v: %s, want %s", c.of, c.samples, told(got), c.want)
		}
		if last := after(float64(len(c.samples) - 1)); !got[0].Time.Equal(last) {
			t.Errorf("dated %v, want the last sample's %v", got[0].Time, last)
		}
		if again := w.tick(after(3600), nil); len(again) > 0 || !w.soonest.IsZero() {
			t.Errorf("an empty window closes: %v, due %v", again, w.soonest)
		}
	}
}

// TestWhatHasNoWindow: other quantities, states, and bad values.
func TestWhatHasNoWindow(t *testing.T) {
	w := newWindower(map[string]Window{"q": {Every: time.Minute, Of: []string{"mean"}}})
	bad := measured("q", 1, 0)
	bad.Quality = gateway.Bad
	state := measured("q", 1, 0)
	state.Value = gateway.Bool(true)
	for _, r := range []gateway.Reading{bad, state, measured("other", 1, 0)} {
		if _, taken := w.put(r, after(0)); taken {
			t.Errorf("%v is taken", r)
		}
	}
}

func TestUncertainSampleMakesTheWindowUncertain(t *testing.T) {
	w := newWindower(map[string]Window{"q": {Every: time.Minute, Of: []string{"mean"}}})
	doubtful := measured("q", 3, 1)
	doubtful.Quality = gateway.Uncertain
	w.put(measured("q", 1, 0), after(0))
	w.put(doubtful, after(1))
	w.put(measured("q", 2, 2), after(2))
	if got := told(w.tick(after(60), nil)); got != "q.mean=2Cel!uncertain" {
		t.Errorf("got %s", got)
	}
	w.put(measured("q", 2, 61), after(61))
	if got := told(w.tick(after(120), nil)); got != "q.mean=2Cel" {
		t.Errorf("the next window: %s", got)
	}
}

// TestWindowsFollowEachOther: a steady pace that is a little early or late
// falls evenly into windows that do not drift.
func TestWindowsFollowEachOther(t *testing.T) {
	w := newWindower(map[string]Window{"q": {Every: time.Minute, Of: []string{"count"}}})
	var counts []string
	for i := range 60 {
		at := float64(i)*10 + 0.1 + 0.03*float64(i%3)
		closed, _ := w.put(measured("q", 1, at), after(at))
		for _, r := range closed {
			counts = append(counts, r.Value.String())
		}
	}
	if want := slices.Repeat([]string{"6"}, 9); !slices.Equal(counts, want) {
		t.Errorf("counts %v, want %v", counts, want)
	}
	// After a silence, the window begins with the sample that ends it.
	w.put(measured("q", 1, 5000), after(5000))
	if want := after(5060); !w.soonest.Equal(want) {
		t.Errorf("due %v, want a minute after the sample", w.soonest.Sub(dawn))
	}
}

// TestWindowClosesEarly: when its unit changes, and when a median has all the
// samples that it may keep.
func TestWindowClosesEarly(t *testing.T) {
	w := newWindower(map[string]Window{"q": {Every: time.Hour, Of: []string{"median", "count"}}})
	w.put(measured("q", 20, 0), after(0))
	kelvin := measured("q", 300, 1)
	kelvin.Unit = "K"
	closed, _ := w.put(kelvin, after(1))
	if told(closed) != "q.median=20Cel q.count=1" {
		t.Errorf("another unit closes %s", told(closed))
	}
	closed = nil
	for i := 0; len(closed) == 0 && i < 2*maxSamples; i++ {
		closed, _ = w.put(kelvin, after(2))
	}
	if told(closed) != "q.median=300K q.count=4096" {
		t.Errorf("many samples close %s", told(closed))
	}
	if left := w.stop(nil); len(left) > 0 {
		t.Errorf("and leave %v", left)
	}
}

func TestStepsAreBounded(t *testing.T) {
	c := mustChain(t, Processing{
		Window: map[string]Window{"w": {Every: time.Minute, Of: []string{"mean"}}}, Heartbeat: time.Hour,
		Deadband: map[string]string{"d": "1"}, RateLimit: map[string]time.Duration{"l": time.Hour},
	})
	for i := range 3 * maxTracked {
		r := measured("", 1, 0)
		r.Device = gateway.DeviceID(fmt.Sprint("inner", i))
		for _, r.Name = range []string{"w", "d", "l"} {
			out := c.Apply([]gateway.Reading{r}, after(0))
			if beyond := i >= maxTracked; r.Name == "w" && (len(out) == 1) != beyond {
				t.Fatalf("device %d: %v", i, out)
			}
			if again := c.Apply([]gateway.Reading{r}, after(1)); (len(again) == 1) != (i >= maxTracked) {
				t.Fatalf("device %d again: %v", i, again)
			}
		}
	}
	if a, b, d := len(c.windows.tracks), len(c.gate.sent), len(c.limit.tracks); a != maxTracked || b != maxTracked || d != maxTracked {
		t.Errorf("%d windows, %d deadbands, %d limits are remembered", a, b, d)
	}
}

func mustChain(t testing.TB, p Processing) *Chain {
	t.Helper()
	c, err := NewChain(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
