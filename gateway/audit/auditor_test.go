package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// event is a line as the hub's simulator gives it.
func event(lane string, seq uint64, kind, body string) string {
	return fmt.Sprintf(`{"offset":1,"device":"gw","enqueued":"2026-01-02T03:04:05.000Z",`+
		`"system":{"message-id":"ab-%[1]s-%[2]d","content-type":"application/json"},`+
		`"properties":{"store":"ab","lane":%[1]q,"seq":"%[2]d","kind":%[3]q},"body":%[4]s}`, lane, seq, kind, body)
}

func telemetry(seq uint64) string {
	return event("telemetry", seq, "telemetry", fmt.Sprintf(`{"v":%d}`, seq))
}

// gapRecord is the gap record number seq about telemetry.
func gapRecord(seq, first, last uint64) string {
	return event("gaps", seq, "gap", fmt.Sprintf(`{"store":"ab","lane":"telemetry","first":%d,"last":%d,"count":%d,"reason":"overflow","time":"2026-01-02T03:04:05Z"}`, first, last, last-first+1))
}

func audited(t *testing.T, lines ...string) *Auditor {
	t.Helper()
	a := New()
	for _, line := range lines {
		if err := a.Add([]byte(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return a
}

// laneOf finds a lane of store ab in a report.
func laneOf(t *testing.T, r Report, lane gateway.Lane) LaneReport {
	t.Helper()
	i := slices.IndexFunc(r.Lanes, func(l LaneReport) bool { return l.Store == "ab" && l.Lane == lane })
	if i < 0 {
		t.Fatalf("no lane %s in %+v", lane, r)
	}
	return r.Lanes[i]
}

// TestEstimatedTimesAreNotCompared: another copy may know better.
func TestEstimatedTimesAreNotCompared(t *testing.T) {
	estimated := event("telemetry", 1, "telemetry", `{"v":1,"boot":"b","readings":[]}`)
	dated := event("telemetry", 1, "telemetry", `{"v":1,"readings":[]}`)
	other := event("telemetry", 1, "telemetry", `{"v":1,"readings":[7]}`)
	for _, lines := range [][]string{{estimated, dated}, {dated, estimated}, {estimated, estimated}} {
		l := laneOf(t, audited(t, lines...).Report(), "telemetry")
		if l.Duplicates != 1 || l.NotCompared != 1 || l.Conflicts != 0 {
			t.Errorf("%q: %+v", lines, l)
		}
	}
	if l := laneOf(t, audited(t, dated, estimated, other).Report(), "telemetry"); l.Conflicts != 1 {
		t.Errorf("two that are dated differ: %+v", l)
	}
}

func TestAHoleIsFoundAndExplained(t *testing.T) {
	lines := []string{telemetry(3), telemetry(4), telemetry(4), telemetry(9)}
	r := audited(t, lines...).Report()
	l := laneOf(t, r, "telemetry")
	if r.Complete || l.First != 3 || l.Last != 9 || l.Received != 3 || l.Duplicates != 1 || l.Holes != 4 || l.Unexplained != 4 || !slices.Equal(l.Missing, Ranges{{5, 8}}) {
		t.Errorf("without a gap record: %+v", r)
	}
	r = audited(t, append(lines, gapRecord(1, 5, 7))...).Report()
	l = laneOf(t, r, "telemetry")
	if r.Complete || l.Explained != 3 || !slices.Equal(l.Missing, Ranges{{8, 8}}) {
		t.Errorf("half explained: %+v", r)
	}
	r = audited(t, append([]string{gapRecord(2, 7, 8), gapRecord(1, 5, 7)}, lines...)...).Report()
	if l = laneOf(t, r, "telemetry"); !r.Complete || l.Explained != 4 || len(l.Missing) != 0 {
		t.Errorf("explained: %+v", r)
	}
}

// TestALostGapRecordIsAHoleToo: gap records are numbered themselves.
func TestALostGapRecordIsAHoleToo(t *testing.T) {
	r := audited(t, telemetry(1), gapRecord(1, 2, 2), gapRecord(3, 4, 4), telemetry(3)).Report()
	if l := laneOf(t, r, "gaps"); r.Complete || l.Unexplained != 1 || !slices.Equal(l.Missing, Ranges{{2, 2}}) {
		t.Errorf("%+v", r)
	}
}

// TestAGapInReadingsIsNoneInMessages: it explains no hole, and is counted itself.
func TestAGapInReadingsIsNoneInMessages(t *testing.T) {
	r := audited(t, telemetry(1), event("telemetry", 2, "gap", `{"device":"mixer","first":3,"last":3,"count":1,"reason":"link"}`), telemetry(4)).Report()
	if l := laneOf(t, r, "telemetry"); l.Received != 3 || l.Unexplained != 1 || len(r.Lanes) != 1 {
		t.Errorf("%+v", r)
	}
}

// TestTheSameMessageInEveryForm: one content, whoever wrote it down.
func TestTheSameMessageInEveryForm(t *testing.T) {
	body := `{"v":7,"t":"<ü>"}`
	forms := map[string]string{
		"hub":      event("telemetry", 7, "telemetry", body),
		"spaced":   event("telemetry", 7, "telemetry", "{ \"v\": 7,\t\"t\":\"<ü>\" }"),
		"export":   `{"id":"ab-telemetry-7","store":"ab","lane":"telemetry","seq":7,"kind":"telemetry","created":"2026-01-02T03:04:05Z","content_type":"application/json","body":` + body + `}`,
		"base64":   `{"id":"ab-telemetry-7","bodyBase64":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `"}`,
		"envelope": `{"store":"ab","lane":"telemetry","seq":7,"body_base64":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `"}`,
		"storage":  `{"EnqueuedTimeUtc":"2026-01-02T03:04:05Z","Properties":{"store":"ab","lane":"telemetry","seq":"7"},"SystemProperties":{"messageId":"ab-telemetry-7","contentType":"application/json","connectionDeviceId":"gw"},"Body":` + body + `}`,
	}
	for name, form := range forms {
		r := audited(t, forms["hub"], form).Report()
		if l := laneOf(t, r, "telemetry"); !r.Complete || l.Received != 1 || l.Duplicates != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestATextIsNoJSON: "1" as a text and as JSON are two contents, 1 as both is
// one.
func TestATextIsNoJSON(t *testing.T) {
	text := func(contentType, body string) string {
		return fmt.Sprintf(`{"id":"ab-telemetry-1","content_type":%q,"body":%s}`, contentType, body)
	}
	if r := audited(t, text("text/plain", `"1"`), text("application/json", `1`)).Report(); !r.Complete {
		t.Errorf("%+v", r)
	}
	if r := audited(t, text("text/plain", `"1"`), text("application/json", `"1"`)).Report(); r.Complete {
		t.Errorf("%+v", r)
	}
}

func TestTwoContentsUnderOneID(t *testing.T) {
	r := audited(t, telemetry(1), event("telemetry", 1, "telemetry", `{"v":99}`), telemetry(1)).Report()
	l := laneOf(t, r, "telemetry")
	if r.Complete || l.Conflicts != 1 || !slices.Equal(l.Conflicting, Ranges{{1, 1}}) || l.Unexplained != 0 || l.Duplicates != 2 {
		t.Errorf("%+v", r)
	}
}

// TestAStoreOfTwoDevices: a cloned card is found by what it says.
func TestAStoreOfTwoDevices(t *testing.T) {
	other := strings.ReplaceAll(event("telemetry", 1, "telemetry", `{"v":2}`), `"device":"gw"`, `"device":"clone"`)
	r := audited(t, telemetry(1), other).Report()
	if l := laneOf(t, r, "telemetry"); r.Complete || !slices.Equal(l.Devices, []string{"gw", "clone"}) {
		t.Errorf("%+v", r)
	}
}

func TestOrderKnowsTheTwoRowsOfAWeave(t *testing.T) {
	cases := []struct {
		name              string
		seqs              []uint64
		woven, outOfOrder uint64
		duplicates        uint64
	}{
		{name: "in order", seqs: []uint64{1, 2, 3, 4}},
		{name: "a window again", seqs: []uint64{1, 2, 3, 2, 3, 4}, duplicates: 2},
		{name: "woven", seqs: []uint64{1, 2, 9, 10, 11, 3, 12, 4, 5, 6, 7, 8, 13}, woven: 6},
		{name: "woven twice", seqs: []uint64{1, 5, 2, 6, 3, 4, 9, 7, 10, 8, 11}, woven: 5},
		{name: "backwards", seqs: []uint64{4, 3, 2, 1}, woven: 1, outOfOrder: 2},
		{name: "three rows", seqs: []uint64{1, 7, 4, 8, 5, 2, 3, 6}, woven: 3, outOfOrder: 2},
	}
	for _, c := range cases {
		a := New()
		for _, seq := range c.seqs {
			if err := a.Add([]byte(telemetry(seq))); err != nil {
				t.Fatal(err)
			}
		}
		r := a.Report()
		if l := laneOf(t, r, "telemetry"); !r.Complete || l.Woven != c.woven || l.OutOfOrder != c.outOfOrder || l.Duplicates != c.duplicates {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
}

func TestNothingProvesNothing(t *testing.T) {
	if r := New().Report(); r.Complete {
		t.Errorf("%+v", r)
	}
	letter := `{"id":"ab-deadletter-5","kind":"deadletter","body":{}}`
	if r := audited(t, letter).Report(); r.Complete || len(r.Lanes) != 0 {
		t.Errorf("dead letters only: %+v", r)
	}
}

// TestTheEndsAreJudgedByWhatTheGatewayHolds.
func TestTheEndsAreJudgedByWhatTheGatewayHolds(t *testing.T) {
	lines := []string{telemetry(3), telemetry(4), telemetry(6)}
	holding := Holding{
		Store: "ab", Lane: "telemetry", Next: 10, Waiting: Ranges{{6, 8}},
		Gaps: []gateway.Gap{{Store: "ab", Lane: "telemetry", First: 5, Last: 5}},
	}
	compare := func(change func(h *Holding), more ...string) LaneReport {
		t.Helper()
		a, h := audited(t, append(slices.Clone(lines), more...)...), holding
		change(&h)
		if err := a.Hold(h); err != nil {
			t.Fatal(err)
		}
		l := laneOf(t, a.Report(), "telemetry")
		if l.Accepted != l.Received+l.Explained+l.Queued+l.Unexplained {
			t.Errorf("the sum is wrong: %+v", l)
		}
		return l
	}
	l := compare(func(*Holding) {})
	if !l.Asked || l.Accepted != 9 || l.Queued != 2 || l.Explained != 1 || !slices.Equal(l.Missing, Ranges{{1, 2}, {9, 9}}) {
		t.Errorf("both ends are missing: %+v", l)
	}
	l = compare(func(h *Holding) { h.Waiting = Ranges{{7, 9}} }, gapRecord(1, 1, 2))
	if !l.Complete() || l.Queued != 3 || l.Explained != 3 {
		t.Errorf("nothing is missing: %+v", l)
	}
	l = compare(func(h *Holding) { h.Next, h.Waiting = 5, nil }, gapRecord(1, 1, 2))
	if !l.Complete() || l.Newer != 1 || l.Accepted != 6 {
		t.Errorf("more has come than was accepted when the gateway was asked: %+v", l)
	}
}

func TestHoldingsThatMakeNoSense(t *testing.T) {
	for _, h := range []Holding{
		{},
		{Store: "ab", Lane: "telemetry"},
		{Store: "ab", Lane: "Tele Metry", Next: 1},
		{Store: "ab", Lane: "telemetry", Next: 1 << 63},
		{Store: "ab", Lane: "telemetry", Next: 5, Waiting: Ranges{{4, 3}}},
		{Store: "ab", Lane: "telemetry", Next: 5, Waiting: Ranges{{0, 3}}},
		{Store: "ab", Lane: "telemetry", Next: 5, Gaps: []gateway.Gap{{}}},
	} {
		if err := New().Hold(h); err == nil {
			t.Errorf("%+v passes", h)
		}
	}
}

func TestLinesThatAreNoMessages(t *testing.T) {
	cases := map[string]string{
		`{`:                       "not a message as JSON",
		`[1]`:                     "not a message as JSON",
		`{}`:                      "no message id",
		`{"id":"hello"}`:          "want <store>-<lane>-<seq>",
		`{"id":"ab-Telemetry-1"}`: "want all three",
		`{"store":"ab","seq":1}`:  "want all three",
		`{"store":"ab","lane":"telemetry","seq":-1}`:                                       "want a whole number",
		`{"store":"ab","lane":"telemetry","seq":9223372036854775808}`:                      "want all three",
		`{"id":"ab-telemetry-1","properties":{"store":"ab","lane":"telemetry","seq":"2"}}`: "it says that it is message",
		`{"id":"ab-telemetry-1","bodyBase64":"%%"}`:                                        "not a message as JSON",
		event("gaps", 1, "gap", `{"store":"ab","lane":"telemetry","first":5,"last":4}`):    "gap record ab-gaps-1",
		event("gaps", 1, "gap", `"text"`):                                                  "gap record ab-gaps-1",
	}
	for line, want := range cases {
		a := New()
		if err := a.Add([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
		if r := a.Report(); len(r.Lanes) != 0 || r.Messages != 0 {
			t.Errorf("%s counts for something: %+v", line, r)
		}
	}
}

// TestContentsForgetTheOldest: the memory is bounded, and what is not compared
// is said.
func TestContentsForgetTheOldest(t *testing.T) {
	a := New()
	a.contents.limit = 2
	for _, seq := range []uint64{1, pageSeqs, 2 * pageSeqs, 1, 2 * pageSeqs} {
		if err := a.Add([]byte(telemetry(seq))); err != nil {
			t.Fatal(err)
		}
	}
	if l := laneOf(t, a.Report(), "telemetry"); l.Duplicates != 2 || l.NotCompared != 1 || len(a.contents.pages) != 2 {
		t.Errorf("%+v, %d pages", l, len(a.contents.pages))
	}
}

// TestMemoryGrowsWithHolesOnly: a lane without holes is one range.
func TestMemoryGrowsWithHolesOnly(t *testing.T) {
	a := New()
	order := rand.New(rand.NewPCG(1, 2)).Perm(20_000)
	for _, i := range order {
		if err := a.Add([]byte(telemetry(uint64(i) + 1))); err != nil {
			t.Fatal(err)
		}
	}
	if l := a.lanes[laneKey{"ab", "telemetry"}]; len(l.received) != 1 || l.received.Count() != 20_000 {
		t.Errorf("%d ranges with %d numbers", len(l.received), l.received.Count())
	}
}

// TestModel plays a gateway that delivers, loses with and without explanation
// and still holds, and a receiver that sees it in any order, with repeats. The
// audit must find exactly what was lost without a word.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const lost, delivered, told, toldAtStore, queued = 0, 1, 2, 3, 4
		n := rapid.Uint64Range(1, 40).Draw(t, "accepted")
		h := Holding{Store: "ab", Lane: "telemetry", Next: n + 1}
		var lines []string
		var missing Ranges
		gaps := uint64(0)
		for seq := uint64(1); seq <= n; seq++ {
			switch rapid.IntRange(lost, queued).Draw(t, "fate") {
			case lost:
				missing.Add(seq, seq)
			case delivered:
				for range rapid.IntRange(1, 3).Draw(t, "times") {
					lines = append(lines, telemetry(seq))
				}
			case told:
				gaps++
				lines = append(lines, gapRecord(gaps, seq, seq))
			case toldAtStore:
				h.Gaps = append(h.Gaps, gateway.Gap{Store: "ab", Lane: "telemetry", First: seq, Last: seq})
			case queued:
				h.Waiting.Add(seq, seq)
			}
		}
		a := New()
		for _, i := range rapid.Permutation(indices(len(lines))).Draw(t, "order") {
			if err := a.Add([]byte(lines[i])); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Hold(h); err != nil {
			t.Fatal(err)
		}
		r := a.Report()
		for _, l := range r.Lanes {
			if l.Lane == "telemetry" && (!slices.Equal(l.Missing, missing) || l.Unexplained != missing.Count() || l.Accepted != n ||
				l.Accepted != l.Received+l.Explained+l.Queued+l.Unexplained) {
				t.Fatalf("missing %v, want %v: %+v", l.Missing, missing, l)
			}
		}
		if r.Complete != (len(missing) == 0) {
			t.Fatalf("complete: %v, missing %v", r.Complete, missing)
		}
	})
}

func indices(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte(telemetry(1) + "\n" + gapRecord(1, 2, 3) + "\n" + telemetry(4)))
	f.Add([]byte(`{"id":"ab-telemetry-7","bodyBase64":"AAE="}`))
	f.Add([]byte(`{"Properties":{"store":"ab","lane":"x","seq":"4611686018427387904"},"Body":[1]}`))
	f.Add([]byte(`{"store":"ab","lane":"x","seq":1,"body":"a","content_type":"text/plain"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := New()
		good := uint64(0)
		for line := range strings.SplitSeq(string(data), "\n") {
			if a.Add([]byte(line)) == nil {
				good++
			}
		}
		r := a.Report()
		if r.Messages > good {
			t.Errorf("%d messages in %d lines", r.Messages, good)
		}
		for _, l := range r.Lanes {
			if l.Holes != l.Explained+l.Unexplained || l.Last < l.First || l.First > 0 && l.Last-l.First+1 != l.Received+l.Holes {
				t.Errorf("the sum is wrong: %+v", l)
			}
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}

// TestAQueueThatIsOlderThanWhatItSent: a gateway that did not run cannot have
// accepted more since; one that ran can.
func TestAQueueThatIsOlderThanWhatItSent(t *testing.T) {
	for _, final := range []bool{false, true} {
		a := audited(t, telemetry(1), telemetry(2), telemetry(3), telemetry(4))
		if err := a.Hold(Holding{Store: "ab", Lane: "telemetry", Next: 4, Final: final}); err != nil {
			t.Fatal(err)
		}
		r := a.Report()
		if l := laneOf(t, r, "telemetry"); l.Newer != 1 || r.Complete == final {
			t.Errorf("final %v: complete %v, %+v", final, r.Complete, l)
		}
	}
}
