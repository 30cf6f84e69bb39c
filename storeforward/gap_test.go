package storeforward

import (
	"fmt"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestLossesOfOneKindAreOneRecord: a lane that overflows for hours does not
// fill the queue with gap records.
func TestLossesOfOneKindAreOneRecord(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {MaxMessages: 10}}
	q := mustOpen(t, o)
	for i := range 200 {
		mustAppend(t, q, msg("telemetry", fmt.Sprint(i+1)))
	}
	if s := laneStats(t, q, "telemetry"); s.Waiting != 10 || s.First != 191 || s.Lost != 190 {
		t.Errorf("lane %+v", s)
	}
	gaps := toldGaps(t, q)
	if len(gaps) > 2 { // a pause of the machine may split them
		t.Errorf("%d gap records", len(gaps))
	}
	wantExplained(t, gaps, 1, 190)
}

// wantExplained checks that gap records tell of the numbers from first to last
// of the telemetry, each once.
func wantExplained(t testing.TB, gaps []gateway.Gap, first, last uint64) {
	t.Helper()
	next := first
	for _, g := range gaps {
		if g.First != next || g.Count != g.Last-g.First+1 || g.Lane != gateway.LaneTelemetry {
			t.Errorf("gap %+v, want one that begins at %d", g, next)
		}
		next = g.Last + 1
	}
	if next != last+1 {
		t.Errorf("explained up to %d, want %d", next-1, last)
	}
}

// TestALossBeforeTheTimeIsKnown names the boot by which it can be dated later, also if it
// was not told before the store was closed.
func TestALossBeforeTheTimeIsKnown(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Clock = &testClock{now: gateway.Undated(time.Minute), uptime: time.Minute, boot: "b1", untrusted: true}
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {MaxMessages: 1}}
	q := mustOpen(t, o)
	mustAppend(t, q, msg("telemetry", "1"))
	mustAppend(t, q, msg("telemetry", "2"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	o.Clock = newClock()
	q = mustOpen(t, o)
	if gaps := toldGaps(t, q); len(gaps) != 1 || gaps[0].Boot != "b1" || !gaps[0].Time.Equal(gateway.Undated(time.Minute)) {
		t.Errorf("told %+v", gaps)
	}
}

// TestALossIsNotForgotten when the store is closed or killed before it is told.
func TestALossIsNotForgotten(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {MaxMessages: 1}}
	q := mustOpen(t, o)
	mustAppend(t, q, msg("telemetry", "1"))
	mustAppend(t, q, msg("telemetry", "2"))
	if s := laneStats(t, q, "telemetry"); s.Gap == nil || s.Gap.First != 1 || s.Gap.Last != 1 {
		t.Fatalf("lane %+v", s)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	wantExplained(t, toldGaps(t, q), 1, 1)
	if m := mustNext(t, q); m.Kind != gateway.KindGap {
		t.Errorf("got %s first, want the gap record", m.ID)
	}
}
