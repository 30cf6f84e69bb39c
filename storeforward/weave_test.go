package storeforward

import (
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// appendNumbered appends n messages to the telemetry.
func appendNumbered(t *testing.T, q *Queue, n int) {
	t.Helper()
	for n > 0 {
		batch := make([]gateway.Message, min(n, 100))
		for i := range batch {
			batch[i] = msg(gateway.LaneTelemetry, "x")
		}
		mustAppend(t, q, batch...)
		n -= len(batch)
	}
}

// TestABacklogIsWovenWithWhatIsNew, three to one, each row in its order, until
// they meet.
func TestABacklogIsWovenWithWhatIsNew(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	appendNumbered(t, q, 1000)
	q.Rewind() // the link is back
	appendNumbered(t, q, 300)
	back, live := uint64(1), uint64(1001)
	for i := range 400 {
		m := mustNext(t, q)
		switch m.ID.Seq {
		case live:
			live++
		case back:
			back++
		default:
			t.Fatalf("message %d is %s, want %d or %d", i, m.ID, back, live)
		}
	}
	if back != 101 || live != 1301 {
		t.Errorf("after 400: the backlog has come to %d, what is new to %d", back-1, live-1)
	}
	for ; back <= 1000; back++ { // nothing new waits: the backlog has the link alone
		if m := mustNext(t, q); m.ID.Seq != back {
			t.Fatalf("got %s, want %d", m.ID, back)
		}
	}
	wantEmpty(t, q)
	appendNumbered(t, q, 1)
	if m := mustNext(t, q); m.ID.Seq != 1301 {
		t.Errorf("got %s, want 1301", m.ID)
	}
}

// TestAcknowledgementsOfBothRowsSurvive a restart in the middle.
func TestAcknowledgementsOfBothRowsSurvive(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	appendNumbered(t, q, 1000)
	q.Rewind()
	appendNumbered(t, q, 300)
	left := make(map[uint64]bool)
	for seq := range uint64(1300) {
		left[seq+1] = true
	}
	for range 200 {
		m := mustNext(t, q)
		delete(left, m.ID.Seq)
		if err := q.Ack(m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	if s := laneStats(t, q, "telemetry"); s.Waiting != uint64(len(left)) {
		t.Errorf("%d wait, want %d", s.Waiting, len(left))
	}
	for len(left) > 0 {
		m := mustNext(t, q)
		if !left[m.ID.Seq] {
			t.Fatalf("%s comes again", m.ID)
		}
		delete(left, m.ID.Seq)
	}
	wantEmpty(t, q)
}

// TestALaneInOrderIsNotWoven.
func TestALaneInOrderIsNotWoven(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {Backfill: BackfillOrder}}
	q := mustOpen(t, o)
	appendNumbered(t, q, 600)
	q.Rewind()
	appendNumbered(t, q, 100)
	for want := range uint64(700) {
		if m := mustNext(t, q); m.ID.Seq != want+1 {
			t.Fatalf("got %s, want %d", m.ID, want+1)
		}
	}
}

// TestAHeldLaneWaits, and the others go on.
func TestAHeldLaneWaits(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	q.Hold(gateway.LaneTelemetry, true)
	mustAppend(t, q, msg("telemetry", "held"), msg("alerts", "free"))
	if m := mustNext(t, q); m.ID.Lane != gateway.LaneAlerts {
		t.Errorf("got %s, want the alert", m.ID)
	}
	wantEmpty(t, q)
	if s := laneStats(t, q, "telemetry"); !s.Held || s.Waiting != 1 {
		t.Errorf("lane %+v", s)
	}
	q.Hold(gateway.LaneTelemetry, false)
	if m := mustNext(t, q); m.ID.Lane != gateway.LaneTelemetry || m.ID.Seq != 1 {
		t.Errorf("got %s, want the telemetry", m.ID)
	}
}

// TestALocalLaneIsNotHandedOut, and keeps what it has.
func TestALocalLaneIsNotHandedOut(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lanes = map[gateway.Lane]LaneOptions{"notes": {Local: true}}
	q := mustOpen(t, o)
	mustAppend(t, q, msg("notes", "kept"), msg("telemetry", "sent"))
	if m := mustNext(t, q); m.ID.Lane != gateway.LaneTelemetry {
		t.Errorf("got %s", m.ID)
	}
	wantEmpty(t, q)
	if list, err := q.List("notes", 0, 10); err != nil || len(list) != 1 {
		t.Errorf("%d listed, %v", len(list), err)
	}
}
