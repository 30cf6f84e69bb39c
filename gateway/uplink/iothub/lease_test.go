package iothub

import (
	"testing"
	"time"
)

func TestLease(t *testing.T) {
	const h, m = time.Hour, time.Minute
	made := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for range 1000 {
		l := newLease(made, h)
		if l.after < 48*m || l.after > 51*m {
			t.Fatalf("renews after %v, want 48 to 51 minutes", l.after)
		}
	}
	l := newLease(made, h)
	if want := made.Add(h); !l.expires().Equal(want) {
		t.Errorf("expires %v, want %v", l.expires(), want)
	}
	for name, tc := range map[string]struct {
		wall, elapsed time.Duration
		due           bool
	}{
		"at once":                    {0, 0, false},
		"in time":                    {47 * m, 47 * m, false},
		"most of it is over":         {52 * m, 52 * m, true},
		"the wall clock was stopped": {10 * m, 52 * m, true},
		"set forward a little":       {15 * m, 10 * m, false},
		"set forward by years":       {9000 * h, m, true},
		"set back a little":          {5 * m, 10 * m, false},
		"set back by an hour":        {-50 * m, 10 * m, true},
	} {
		if due := l.due(made.Add(tc.wall), tc.elapsed); due != tc.due {
			t.Errorf("%s: due %v, want %v", name, due, tc.due)
		}
	}
}
