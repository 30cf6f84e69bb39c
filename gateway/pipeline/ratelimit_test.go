package pipeline

import (
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestRateLimit: the first goes at once, then the last of each stretch, at its
// end, also if nothing comes any more.
func TestRateLimit(t *testing.T) {
	l := limiter{every: map[string]time.Duration{"q": 10 * time.Second}, tracks: make(map[readingKey]*limited)}
	for _, step := range []struct {
		at       float64
		x        float64 // 0: only time passes
		want     string
		replaced bool
		held     int
	}{
		{at: 0, x: 1, want: "q=1Cel"},
		{at: 1, x: 2, held: 1},
		{at: 5, x: 3, replaced: true, held: 1},
		{at: 9.9, held: 1},
		{at: 10, want: "q=3Cel"},
		{at: 15, x: 4, held: 1},
		{at: 21, x: 5, want: "q=4Cel", held: 1}, // the one that waited goes first
		{at: 31, want: "q=5Cel"},
		{at: 60, x: 6, want: "q=6Cel"},
	} {
		out := l.tick(after(step.at), nil)
		if step.x != 0 {
			r := measured("q", step.x, step.at)
			pass, replaced := l.pass(&r, after(step.at))
			if pass {
				out = append(out, r)
			}
			if replaced != step.replaced {
				t.Errorf("at %v s: replaced %v", step.at, replaced)
			}
		}
		if told(out) != step.want || l.held != step.held {
			t.Errorf("at %v s: %q, %d held; want %q, %d", step.at, told(out), l.held, step.want, step.held)
		}
	}
	r := measured("q", 7, 61)
	l.pass(&r, after(61))
	if got := l.stop(nil); told(got) != "q=7Cel" || l.held != 0 || !l.soonest.IsZero() {
		t.Errorf("the stop gives %q, %d held, due %v", told(got), l.held, l.soonest)
	}
	other := gateway.Reading{Name: "other"}
	if pass, _ := l.pass(&other, after(61)); !pass {
		t.Error("a quantity without a limit is held")
	}
}
