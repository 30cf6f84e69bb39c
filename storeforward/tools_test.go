package storeforward

import (
	"errors"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestVerifyFindsWhatCannotBeRead(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	ids := mustAppend(t, q, msg("telemetry", "12"), msg("telemetry", "345"), msg("alerts", "6"))
	bringChunk(t, q, "telemetry", msg("telemetry", "lost"))
	mustAppend(t, q, msg("telemetry", "7"))
	if err := q.Ack(ids[0]); err != nil {
		t.Fatal(err)
	}
	var last, total uint64
	report, err := q.Verify(t.Context(), func(done, all uint64) { last, total = done, all })
	if err != nil || report.Messages != 3 || report.Bytes != 5 || last != 4 || total != 4 {
		t.Errorf("report %+v, %v; progress %d of %d", report, err, last, total)
	}
	if len(report.Damaged) != 1 || report.Damaged[0].First != 3 || report.Damaged[0].Last != 3 || report.Damaged[0].Lane != "telemetry" {
		t.Errorf("damaged %+v", report.Damaged)
	}
	if s := laneStats(t, q, "telemetry"); s.Waiting != 3 || s.Lost != 0 {
		t.Errorf("Verify has changed the lane: %+v", s)
	}
}

func TestPurgeGivesUpALaneAndSaysSo(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	mustAppend(t, q, msg("telemetry", "1"), msg("telemetry", "2"), msg("telemetry", "3"), msg("alerts", "4"))
	if n, err := q.Purge(t.Context(), "telemetry"); n != 3 || err != nil {
		t.Errorf("%d given up, %v", n, err)
	}
	gaps := toldGaps(t, q)
	wantExplained(t, gaps, 1, 3)
	if gaps[0].Reason != gateway.GapPurged {
		t.Errorf("reason %s", gaps[0].Reason)
	}
	if s := laneStats(t, q, "alerts"); s.Waiting != 1 {
		t.Errorf("the alerts went too: %+v", s)
	}
	if ids := mustAppend(t, q, msg("telemetry", "5")); ids[0].Seq != 4 {
		t.Errorf("the lane goes on with %s", ids[0])
	}
	for _, lane := range []gateway.Lane{"nowhere", gateway.LaneGaps} {
		if _, err := q.Purge(t.Context(), lane); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("lane %s: %v, want ErrInvalid", lane, err)
		}
	}
}

func rejected(t *testing.T, q *Queue, body string) (original, letter gateway.MessageID) {
	t.Helper()
	m := msg("telemetry", body)
	m.CorrelationID = "c"
	original = mustAppend(t, q, m)[0]
	if err := q.Reject(t.Context(), original, "too large"); err != nil {
		t.Fatal(err)
	}
	list, err := q.List(gateway.LaneDeadLetter, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return original, list[len(list)-1].ID
}

func TestRetrySendsADeadLetterAgain(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for _, body := range []string{`{"a":1}`, "text", "\xff\x00"} {
		original, letter := rejected(t, q, body)
		again, err := q.Retry(t.Context(), letter)
		if err != nil || again.Seq != original.Seq+1 {
			t.Fatalf("retry: %s, %v", again, err)
		}
		m := mustNextOf(t, q, gateway.LaneTelemetry)
		if m.ID != again || string(m.Body) != body || m.CorrelationID != "c" || m.Kind != gateway.KindTelemetry {
			t.Errorf("sent again: %+v", m)
		}
		if _, err := q.Retry(t.Context(), letter); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("a second retry: %v", err)
		}
	}
	if s := laneStats(t, q, gateway.LaneDeadLetter); s.Waiting != 0 {
		t.Errorf("dead letters %+v", s)
	}
}

// TestDiscardLeavesNoGap: no receiver ever knew of dead letters.
func TestDiscardLeavesNoGap(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	_, first := rejected(t, q, "1")
	_, second := rejected(t, q, "2")
	if err := q.Discard(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if err := q.Discard(t.Context(), second); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("discarded twice: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	list, err := q.List(gateway.LaneDeadLetter, 0, 10)
	if err != nil || len(list) != 1 || list[0].ID != first {
		t.Errorf("%+v left, %v", list, err)
	}
	for _, g := range toldGaps(t, q) {
		if g.Lane == gateway.LaneDeadLetter {
			t.Errorf("gap %+v", g)
		}
	}
}

func TestMessageBoundsByPolicy(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lanes = map[gateway.Lane]LaneOptions{
		"telemetry": {MaxMessages: 3}, "state": {MaxMessages: 3, Overflow: DropNewest},
	}
	q := mustOpen(t, o)
	for range 3 {
		mustAppend(t, q, msg("telemetry", "x"), msg("state", "x"))
	}
	mustAppend(t, q, msg("telemetry", "x"))
	if _, err := q.Append(t.Context(), msg("state", "x")); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("a fourth state: %v, want ErrFull", err)
	}
	if s := laneStats(t, q, "telemetry"); s.Waiting != 3 || s.First != 2 {
		t.Errorf("lane %+v", s)
	}
	if err := q.Ack(gateway.MessageID{Store: q.Store(), Lane: "state", Seq: 2}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, q, msg("state", "x"))
	four := []gateway.Message{msg("state", "x"), msg("state", "x"), msg("state", "x"), msg("state", "x")}
	if _, err := q.Append(t.Context(), four...); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("four at once: %v, want ErrInvalid", err)
	}
}
