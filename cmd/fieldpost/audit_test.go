package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/audit"
	"github.com/fieldpost/fieldpost/storeforward"
)

// stored plays a gateway that has delivered telemetry 1 to 5 and 7 to 10, given
// up 6 and holds 11 to 20. The gap record of 6 is the last line.
func stored(t *testing.T, b *board) (lines []string) {
	t.Helper()
	b.with(t, func(q *storeforward.Queue) {
		acceptMany(t, q, 5)
		lines = deliver(t, q, 5)
		reject(t, q, `{"never":true}`, "no")
		acceptMany(t, q, 14)
		q.Hold(gateway.LaneGaps, true) // it comes in its own time
		lines = append(lines, deliver(t, q, 4)...)
		q.Hold(gateway.LaneTelemetry, true)
		q.Hold(gateway.LaneGaps, false)
		lines = append(lines, deliver(t, q, 1)...)
	})
	return lines
}

func TestAuditProvesThatNothingIsMissing(t *testing.T) {
	b := newBoard(t)
	lines := stored(t, b)
	data := filepath.Join(b.dir, "data")
	out, _ := b.want(t, 0, "audit", b.store(t, lines...))
	wantText(t, "audit", out, "complete: 10 messages received, 1 explained by gap records", "telemetry", "gaps", "gw")
	out, _ = b.want(t, 0, "audit", "--against", data, b.store(t, lines...))
	wantText(t, "audit --against", out, "complete: 10 messages received, 1 explained by gap records, 10 still in the queue, none missing", "accepted", "queued")
	held := filepath.Join(b.dir, "held.ndjson")
	b.want(t, 0, "queue", "holdings", "--output", held)
	b.with(t, func(q *storeforward.Queue) { lines = append(lines, deliver(t, q, 2)...) }) // the gateway goes on
	out, _ = b.want(t, 0, "audit", "--held", held, b.store(t, lines...))
	wantText(t, "audit --held", out, "complete: 12 messages received, 1 explained by gap records, 8 still in the queue, none missing")
	// Any order, any number of times, from several files.
	slices.Reverse(lines)
	out, _ = b.want(t, 0, "audit", b.store(t, lines[:6]...), b.store(t, lines[3:]...))
	wantText(t, "audit", out, "complete")
}

func TestAuditNamesWhatIsMissing(t *testing.T) {
	b := newBoard(t)
	lines := stored(t, b)
	data := filepath.Join(b.dir, "data")
	without := func(drop ...int) string {
		var left []string
		for i, line := range lines {
			if !slices.Contains(drop, i) {
				left = append(left, line)
			}
		}
		return b.store(t, left...)
	}
	out, errs := b.want(t, 1, "audit", without(2, 3))
	wantText(t, "a hole", out, "-telemetry: missing and not explained: 3-4")
	wantText(t, "a hole", errs, "NOT complete: 2 messages are missing")
	out, _ = b.want(t, 1, "audit", without(len(lines)-1))
	wantText(t, "no gap record", out, "missing and not explained: 6")

	// Only the gateway knows of the ends.
	b.want(t, 0, "audit", without(0, len(lines)-2))
	out, _ = b.want(t, 1, "audit", "--against", data, without(0, len(lines)-2))
	wantText(t, "the ends", out, "missing and not explained: 1, 10")
	out, _ = b.want(t, 1, "audit", "--json", "--against", data, without(0))
	var r audit.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Complete {
		t.Fatalf("%s: %v", out, err)
	}
	i := slices.IndexFunc(r.Lanes, func(l audit.LaneReport) bool { return l.Lane == gateway.LaneTelemetry })
	if l := r.Lanes[i]; l.Accepted != 20 || l.Received != 8 || l.Queued != 10 || l.Explained != 1 || l.Unexplained != 1 || l.First != 2 {
		t.Errorf("%+v", l)
	}

	spoilt := append(slices.Clone(lines), strings.Replace(lines[0], `{"value":1}`, `{"value":77}`, 1))
	out, errs = b.want(t, 1, "audit", b.store(t, spoilt...))
	wantText(t, "two contents", out, "different content under one id: 1")
	wantText(t, "two contents", errs, "1 ids came with different content")
}

// TestAuditReadsExports: what the queue exports is a line of input too, so that
// the queue and the receiver together are whole.
func TestAuditReadsExports(t *testing.T) {
	b := newBoard(t)
	lines := stored(t, b)
	waiting, _ := b.want(t, 0, "queue", "export")
	out, _ := b.want(t, 0, "audit", b.store(t, append(lines, strings.TrimSpace(waiting))...))
	wantText(t, "audit", out, "complete: 20 messages received, 1 explained")
}

func TestAuditOfWhatIsNoMessage(t *testing.T) {
	b := newBoard(t)
	lines := stored(t, b)
	file := b.store(t, append(slices.Clone(lines), "", "{nonsense")...)
	_, errs := b.want(t, 1, "audit", file)
	wantText(t, "nonsense", errs, file+":12: not a message as JSON", "--lenient")
	out, _ := b.want(t, 0, "audit", "--lenient", file)
	wantText(t, "lenient", out, "1 lines are no messages", "complete")
	_, errs = b.want(t, 1, "audit", "-") // standard input is empty here
	wantText(t, "nothing", errs, "nothing to judge")
	_, errs = b.want(t, 1, "audit", filepath.Join(b.dir, "none"))
	wantText(t, "no file", errs, "no such file")
	_, errs = b.want(t, 69, "audit", "--daemon", file)
	wantText(t, "no gateway", errs, "no gateway at "+b.socket())
	_, errs = b.want(t, 1, "audit", "--against", b.dir, file)
	wantText(t, "no queue", errs, "there is no queue in "+b.dir)
	_, errs = b.want(t, 1, "audit", "--held", file, file)
	wantText(t, "no holdings", errs, "not what 'fieldpost queue holdings' writes")
	q := b.open(t)
	_, errs = b.want(t, 69, "audit", "--against", filepath.Join(b.dir, "data"), file)
	wantText(t, "a queue in use", errs, "in use by another process", "--daemon")
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	_, errs = b.want(t, 2, "audit", "--against", b.dir, "--daemon", file)
	wantText(t, "both", errs, "can't be used together")
}
