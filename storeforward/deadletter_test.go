package storeforward

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestRejectMovesToDeadLettersWithAGap(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	ids := mustAppend(t, q, msg("telemetry", `{"a":1}`), msg("telemetry", "2"))
	mustNext(t, q)
	if err := q.Reject(t.Context(), ids[0], "too large for the hub"); err != nil {
		t.Fatal(err)
	}
	dead, err := q.List(gateway.LaneDeadLetter, 0, 10)
	if err != nil || len(dead) != 1 {
		t.Fatalf("%d dead letters, %v", len(dead), err)
	}
	var b deadLetterBody
	if err := json.Unmarshal(dead[0].Body, &b); err != nil || b.ID != ids[0].String() || string(b.Body) != `{"a":1}` {
		t.Errorf("dead letter %s, %v", dead[0].Body, err)
	}
	if m := mustNext(t, q); m.ID != ids[1] {
		t.Errorf("got %s, want %s", m.ID, ids[1])
	}
	g := decodeGap(t, mustNext(t, q))
	if g.First != 1 || g.Last != 1 || g.Reason != gateway.GapRejected || g.Detail != "too large for the hub" {
		t.Errorf("gap %+v", g)
	}
	wantEmpty(t, q)
}

// aside would block its lane for ever.
func TestLargestMessagesCanBeRejected(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for name, body := range map[string]string{
		"json":  `"` + strings.Repeat("j", MaxBodyBytes-2) + `"`,
		"html":  `"` + strings.Repeat("<", MaxBodyBytes-2) + `"`,
		"text":  strings.Repeat("\x01", MaxBodyBytes),
		"bytes": strings.Repeat("\xff", MaxBodyBytes),
	} {
		id := mustAppend(t, q, msg(gateway.LaneTelemetry, body))[0]
		if err := q.Reject(t.Context(), id, strings.Repeat("r", 5000)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	letters, err := q.List(gateway.LaneDeadLetter, 0, 10)
	if err != nil || len(letters) != 4 || laneStats(t, q, gateway.LaneTelemetry).Waiting != 0 {
		t.Errorf("%d dead letters (%v), %+v", len(letters), err, laneStats(t, q, gateway.LaneTelemetry))
	}
}
