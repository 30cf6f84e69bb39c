package storeforward

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

// testClock stands where it is put.
type testClock struct {
	mu        sync.Mutex
	now       time.Time
	untrusted bool
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Trusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.untrusted
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *testClock { return &testClock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func testOptions(dir string) Options {
	o := Defaults(dir)
	o.Clock = newClock()
	o.CommitAge = 0
	o.MinFree = MinMinFree
	return o
}

func mustOpen(t testing.TB, o Options) *Queue {
	t.Helper()
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func msg(lane gateway.Lane, body string) gateway.Message {
	return gateway.Message{
		ID: gateway.MessageID{Lane: lane}, Kind: gateway.KindTelemetry, ContentType: "application/json",
		Created: time.Date(2026, 11, 24, 11, 59, 0, 123000, time.UTC), Body: []byte(body),
	}
}

func mustAppend(t testing.TB, q *Queue, msgs ...gateway.Message) []gateway.MessageID {
	t.Helper()
	ids, err := q.Append(t.Context(), msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func mustNext(t testing.TB, q *Queue) gateway.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := q.Next(ctx)
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return m
}

func wantEmpty(t testing.TB, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := q.Next(ctx); err == nil {
		t.Fatalf("next gave %s, want nothing", m.ID)
	}
}

func TestMessageSurvivesReopenWithEveryField(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	sent := msg(gateway.LaneTelemetry, `{"v":1}`)
	sent.CorrelationID = "c-1"
	ids := mustAppend(t, q, sent)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q2 := mustOpen(t, o)
	got := mustNext(t, q2)
	sent.ID = ids[0]
	if got.ID != sent.ID || got.Kind != sent.Kind || !got.Created.Equal(sent.Created) ||
		got.CorrelationID != sent.CorrelationID || got.ContentType != sent.ContentType || string(got.Body) != string(sent.Body) {
		t.Errorf("got %+v\nwant %+v", got, sent)
	}
	if want := q.Store() + "-telemetry-1"; got.ID.String() != want {
		t.Errorf("id %s, want %s", got.ID, want)
	}
}

func TestOrderAndSequenceAcrossReopens(t *testing.T) {
	o := testOptions(t.TempDir())
	seq := uint64(0)
	for round := range 4 {
		q := mustOpen(t, o)
		for range 50 {
			seq++
			ids := mustAppend(t, q, msg(gateway.LaneTelemetry, fmt.Sprint(seq)))
			if ids[0].Seq != seq {
				t.Fatalf("round %d: seq %d, want %d", round, ids[0].Seq, seq)
			}
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	q := mustOpen(t, o)
	for want := uint64(1); want <= seq; want++ {
		if m := mustNext(t, q); m.ID.Seq != want || string(m.Body) != fmt.Sprint(want) {
			t.Fatalf("got %s %s, want %d", m.ID, m.Body, want)
		}
	}
	wantEmpty(t, q)
}

func TestAckedMessagesStayAwayAfterCleanRestart(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	ids := mustAppend(t, q, msg("telemetry", "1"), msg("telemetry", "2"), msg("telemetry", "3"))
	if err := q.Ack(ids[1], ids[0]); err != nil { // out of order
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	if m := mustNext(t, q); m.ID != ids[2] {
		t.Errorf("got %s, want %s", m.ID, ids[2])
	}
	wantEmpty(t, q)
}

func TestRewindRepeatsOnlyWhatIsNotAcked(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	ids := mustAppend(t, q, msg("telemetry", "1"), msg("telemetry", "2"), msg("telemetry", "3"))
	for range ids {
		mustNext(t, q)
	}
	wantEmpty(t, q)
	if err := q.Ack(ids[1]); err != nil {
		t.Fatal(err)
	}
	q.Rewind()
	for _, want := range []gateway.MessageID{ids[0], ids[2]} {
		if m := mustNext(t, q); m.ID != want {
			t.Fatalf("got %s, want %s", m.ID, want)
		}
	}
	wantEmpty(t, q)
}

func TestConcurrentProducersKeepLanesContiguous(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	const producers, each = 8, 200
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				if _, err := q.Append(t.Context(), msg("telemetry", fmt.Sprintf("%d/%d", p, i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	last := make(map[int]int)
	for want := uint64(1); want <= producers*each; want++ {
		m := mustNext(t, q)
		var p, i int
		if _, err := fmt.Sscanf(string(m.Body), "%d/%d", &p, &i); err != nil {
			t.Fatal(err)
		}
		if m.ID.Seq != want || i != last[p] {
			t.Fatalf("seq %d: producer %d sent %d, want seq %d and %d", m.ID.Seq, p, i, want, last[p])
		}
		last[p]++
	}
	if commits := q.Stats().Commits; commits >= producers*each {
		t.Errorf("%d commits for %d messages: nothing was grouped", commits, producers*each)
	}
}

func TestHighPriorityGoesFirstAndNobodyStarves(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for i := range 50 {
		mustAppend(t, q, msg("telemetry", fmt.Sprint(i)), msg("alerts", fmt.Sprint(i)))
	}
	count := make(map[gateway.Lane]int)
	for range 50 {
		count[mustNext(t, q).ID.Lane]++
	}
	if count["alerts"] != 40 || count["telemetry"] != 10 {
		t.Errorf("of the first 50: %v, want 40 alerts and 10 telemetry", count)
	}
}

func TestDrainedLaneGivesSpaceBackAndKeepsCounting(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	body := strings.Repeat("x", 1000)
	var last gateway.MessageID
	for range 120 {
		batch := make([]gateway.Message, 100)
		for i := range batch {
			batch[i] = msg("telemetry", body)
		}
		ids := mustAppend(t, q, batch...)
		last = ids[len(ids)-1]
	}
	for range 12000 {
		m := mustNext(t, q)
		if err := q.Ack(m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	wantEmpty(t, q)
	if s := laneStats(t, q, "telemetry"); s.Bytes > rollBytes || s.Waiting != 0 || s.Next != last.Seq+1 {
		t.Errorf("after the drain: %+v", s)
	}
	if ids := mustAppend(t, q, msg("telemetry", "y")); ids[0].Seq != last.Seq+1 {
		t.Errorf("seq %d, want %d", ids[0].Seq, last.Seq+1)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if n := tableBytes(t, o.Dir); n > 1<<20 {
		t.Errorf("%d bytes of tables left after the drain", n)
	}
}

func tableBytes(t testing.TB, dir string) (sum int64) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

func laneStats(t testing.TB, q *Queue, name gateway.Lane) LaneStats {
	t.Helper()
	for _, l := range q.Stats().Lanes {
		if l.Lane == name {
			return l
		}
	}
	t.Fatalf("no lane %s", name)
	return LaneStats{}
}

func decodeGap(t testing.TB, m gateway.Message) gateway.Gap {
	t.Helper()
	if m.Kind != gateway.KindGap {
		t.Fatalf("%s is of kind %s, want a gap record", m.ID, m.Kind)
	}
	var g gateway.Gap
	if err := json.Unmarshal(m.Body, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// fill appends messages of 1 kB to a lane until the store says no or n are in.
// noise is a body that does not shrink.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return string(b)
}

func fill(t testing.TB, q *Queue, lane gateway.Lane, n int) (accepted int, err error) {
	t.Helper()
	for accepted < n {
		batch := make([]gateway.Message, 200)
		for i := range batch {
			batch[i] = msg(lane, noise(1000))
		}
		if _, err := q.Append(t.Context(), batch...); err != nil {
			return accepted, err
		}
		accepted += len(batch)
	}
	return accepted, nil
}

func TestDropOldestExplainsEveryHole(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytes = MinMaxBytes
	q := mustOpen(t, o)
	n, err := fill(t, q, "telemetry", 40000)
	if err != nil {
		t.Fatal(err)
	}
	if b := q.Stats().Bytes; b > o.MaxBytes-engineBytes {
		t.Errorf("%d bytes kept, the bound is %d", b, o.MaxBytes-engineBytes)
	}
	explained := make(map[uint64]bool)
	arrived := make(map[uint64]bool)
	for len(arrived)+len(explained) < n {
		m := mustNext(t, q)
		if m.ID.Lane == gateway.LaneGaps {
			g := decodeGap(t, m)
			if g.Reason != gateway.GapOverflow || g.Lane != "telemetry" || g.Store != q.Store() || g.Count != g.Last-g.First+1 {
				t.Fatalf("gap %+v", g)
			}
			for seq := g.First; seq <= g.Last; seq++ {
				explained[seq] = true
			}
			continue
		}
		arrived[m.ID.Seq] = true
	}
	for seq := uint64(1); seq <= uint64(n); seq++ {
		if arrived[seq] == explained[seq] {
			t.Fatalf("seq %d: arrived %v, explained %v", seq, arrived[seq], explained[seq])
		}
	}
	if len(explained) == 0 {
		t.Error("nothing was evicted")
	}
}

// TestEvictionAmidAGroup: many producers share each commit of a lane that is
// full, so that room is made for one while others are in the same group.
func TestEvictionAmidAGroup(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytes, o.CommitAge, o.CommitMessages = MinMaxBytes, 2*time.Millisecond, 10_000
	q := mustOpen(t, o)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 60 {
				batch := make([]gateway.Message, 30)
				for i := range batch {
					batch[i] = msg(gateway.LaneTelemetry, noise(2500))
				}
				if _, err := q.Append(t.Context(), batch...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := laneStats(t, q, gateway.LaneTelemetry)
	if s.Next != 8*60*30+1 || s.Lost == 0 || s.Lost != s.First-1 {
		t.Fatalf("lane %+v", s)
	}
	covered := uint64(0)
	gaps, err := q.List(gateway.LaneGaps, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range gaps {
		g := decodeGap(t, m)
		if g.First != covered+1 {
			t.Errorf("a gap record begins at %d, want %d", g.First, covered+1)
		}
		covered = g.Last
	}
	if covered != s.Lost {
		t.Errorf("gap records up to %d, %d were lost", covered, s.Lost)
	}
	for seq := s.First; seq < s.Next; {
		list, err := q.List(gateway.LaneTelemetry, seq, 1000)
		if err != nil || len(list) == 0 {
			t.Fatalf("at %d: %d listed, %v", seq, len(list), err)
		}
		for _, m := range list {
			if m.ID.Seq != seq {
				t.Fatalf("%d comes where %d should", m.ID.Seq, seq)
			}
			seq++
		}
	}
}

// TestTwoLossesInOneGroup: one request of a group gives messages up, and room
// has to be made for another. Each loss has its own gap record.
func TestTwoLossesInOneGroup(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytes = MinMaxBytes
	q := mustOpen(t, o)
	large := func() gateway.Message { return msg(gateway.LaneTelemetry, noise(250_000)) }
	for laneStats(t, q, gateway.LaneTelemetry).Bytes+250_000 <= o.MaxBytes-engineBytes {
		mustAppend(t, q, large())
	}
	l, next := q.lanes[gateway.LaneTelemetry], laneStats(t, q, gateway.LaneTelemetry).Next
	loss := &request{spans: []span{{lane: l, first: next - 1, last: next - 1, reason: gateway.GapRejected}}, exempt: true}
	full := &request{messages: []gateway.Message{large()}}
	requests := []*request{loss, full}
	q.opts.CommitAge = time.Second // no commit has been so long ago
	for _, r := range requests {
		r.done = make(chan error, 1)
		q.requests <- r
	}
	for _, r := range requests {
		if err := <-r.done; err != nil {
			t.Fatal(err)
		}
	}
	gaps, err := q.List(gateway.LaneGaps, 0, 10)
	if err != nil || len(gaps) != 2 {
		t.Fatalf("%d gap records (%v), want 2", len(gaps), err)
	}
}

func TestDropNewestRefusesAndRecovers(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytes = MinMaxBytes
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {Overflow: DropNewest}}
	q := mustOpen(t, o)
	n, err := fill(t, q, "telemetry", 40000)
	if !errors.Is(err, gateway.ErrFull) {
		t.Fatalf("after %d messages: %v, want ErrFull", n, err)
	}
	if p := q.Stats().Problem; !strings.Contains(p, "telemetry is full") {
		t.Errorf("problem %q does not name the lane", p)
	}
	for range n {
		if err := q.Ack(mustNext(t, q).ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fill(t, q, "telemetry", n); err != nil {
		t.Errorf("after the drain: %v", err)
	}
	if p := q.Stats().Problem; p != "" {
		t.Errorf("problem %q remains", p)
	}
}

func TestBlockWaitsForRoom(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytes = MinMaxBytes
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {Overflow: Block}}
	q := mustOpen(t, o)
	type end struct {
		n   int
		err error
	}
	done := make(chan end, 1)
	go func() {
		n, err := fill(t, q, "telemetry", 24000)
		done <- end{n, err}
	}()
	for range 24000 { // the producer can finish only if room comes free
		if err := q.Ack(mustNext(t, q).ID); err != nil {
			t.Fatal(err)
		}
	}
	if e := <-done; e.err != nil || e.n != 24000 {
		t.Errorf("producer: %d accepted, %v", e.n, e.err)
	}
	if lost := laneStats(t, q, "telemetry").Lost; lost != 0 {
		t.Errorf("%d lost", lost)
	}
}

func TestExpiredMessagesBecomeOneGap(t *testing.T) {
	o := testOptions(t.TempDir())
	clock := newClock()
	o.Clock = clock
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {TTL: time.Hour}}
	q := mustOpen(t, o)
	mustAppend(t, q, msg("telemetry", "1"), msg("telemetry", "2"))
	clock.add(59 * time.Minute)
	mustAppend(t, q, msg("telemetry", "3"))
	clock.add(2 * time.Minute)
	if g := decodeGap(t, mustNext(t, q)); g.First != 1 || g.Last != 2 || g.Reason != gateway.GapExpired {
		t.Errorf("gap %+v", g)
	}
	if m := mustNext(t, q); string(m.Body) != "3" {
		t.Fatalf("got %s, want 3", m.Body)
	}
}

func TestNothingExpiresWhileTheClockIsUntrusted(t *testing.T) {
	o := testOptions(t.TempDir())
	clock := &testClock{now: time.Unix(0, 0), untrusted: true}
	o.Clock = clock
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {TTL: time.Hour}}
	q := mustOpen(t, o)
	mustAppend(t, q, msg("telemetry", "before the clock"))
	clock.mu.Lock()
	clock.now, clock.untrusted = newClock().now, false
	clock.mu.Unlock()
	if m := mustNext(t, q); string(m.Body) != "before the clock" {
		t.Errorf("got %s", m.Body)
	}
}

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
	g := decodeGap(t, mustNext(t, q))
	if g.First != 1 || g.Last != 1 || g.Reason != gateway.GapRejected || g.Detail != "too large for the hub" {
		t.Errorf("gap %+v", g)
	}
	if m := mustNext(t, q); m.ID != ids[1] {
		t.Errorf("got %s, want %s", m.ID, ids[1])
	}
	wantEmpty(t, q)
}

// TestLargestMessagesCanBeRejected, whatever they hold: one that cannot be set
// aside would block its lane for ever.
func TestLargestMessagesCanBeRejected(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for name, body := range map[string]string{
		"json":  `"` + strings.Repeat("j", MaxBodyBytes-2) + `"`,
		"text":  strings.Repeat("\x01", MaxBodyBytes),
		"bytes": strings.Repeat("\xff", MaxBodyBytes),
	} {
		id := mustAppend(t, q, msg(gateway.LaneTelemetry, body))[0]
		if err := q.Reject(t.Context(), id, strings.Repeat("r", 5000)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	letters, err := q.List(gateway.LaneDeadLetter, 0, 10)
	if err != nil || len(letters) != 3 || laneStats(t, q, gateway.LaneTelemetry).Waiting != 0 {
		t.Errorf("%d dead letters (%v), %+v", len(letters), err, laneStats(t, q, gateway.LaneTelemetry))
	}
}

// TestLargestGroupFits into one transaction, with the cursors of all lanes.
func TestLargestGroupFits(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lanes = make(map[gateway.Lane]LaneOptions)
	for i := range maxLanes - len(builtin) {
		o.Lanes[gateway.Lane(fmt.Sprintf("lane_%d_%s", i, strings.Repeat("x", 15)))] = LaneOptions{}
	}
	q := mustOpen(t, o)
	var ids []gateway.MessageID
	for name := range o.Lanes {
		ids = append(ids, mustAppend(t, q, msg(name, "x"))...)
	}
	if err := q.Ack(ids...); err != nil {
		t.Fatal(err)
	}
	large := msg(gateway.LaneTelemetry, strings.Repeat("x", MaxBodyBytes))
	small := msg(gateway.LaneTelemetry, "")
	small.Body = make([]byte, MaxAppendBytes-recordSize(large)-recordSize(small))
	mustAppend(t, q, large, small)
}

func TestDamagedChunkIsReportedAndPassed(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for i := range 3 {
		mustAppend(t, q, msg("telemetry", fmt.Sprint(i)), msg("telemetry", fmt.Sprint(i)))
	}
	l := q.lanes["telemetry"]
	err := q.db.Update(func(txn *badger.Txn) error { // flip a byte of the second record of the second chunk
		key := chunkKey(l.number, l.tail().number, 3)
		value, err := get(txn, key)
		if err != nil {
			return err
		}
		value[len(value)-1] ^= 1
		return txn.Set(key, value)
	})
	if err != nil {
		t.Fatal(err)
	}
	q.mu.Lock()
	l.window = window{} // as after a restart
	q.mu.Unlock()
	var seqs []uint64
	var gap gateway.Gap
	for range 6 {
		m := mustNext(t, q)
		if m.Kind == gateway.KindGap {
			gap = decodeGap(t, m)
			continue
		}
		seqs = append(seqs, m.ID.Seq)
	}
	if fmt.Sprint(seqs) != "[1 2 3 5 6]" || gap.First != 4 || gap.Last != 4 || gap.Reason != gateway.GapDamaged {
		t.Errorf("got %v and %+v", seqs, gap)
	}
}

func TestAppendRefusesWhatCanNeverFit(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	large := gateway.Message{ID: gateway.MessageID{Lane: "telemetry"}, Body: make([]byte, MaxBodyBytes+1)}
	for name, msgs := range map[string][]gateway.Message{
		"body":         {large},
		"unknown lane": {msg("nowhere", "x")},
		"batch":        {msg("telemetry", strings.Repeat("x", MaxBodyBytes)), msg("telemetry", strings.Repeat("x", MaxBodyBytes))},
	} {
		if _, err := q.Append(t.Context(), msgs...); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if ids := mustAppend(t, q, msg("telemetry", strings.Repeat("x", MaxBodyBytes))); ids[0].Seq != 1 {
		t.Errorf("the largest body got seq %d", ids[0].Seq)
	}
}

// TestWearIsMeasured: what the card really takes is the kernel's own figure.
func TestWearIsMeasured(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for range 20 {
		mustAppend(t, q, msg(gateway.LaneTelemetry, noise(100_000)))
	}
	s := q.Stats()
	if s.BytesAccepted != 2_000_000 {
		t.Errorf("%d bytes accepted, want 2,000,000", s.BytesAccepted)
	}
	if s.DeviceBytes != 0 && (s.DeviceBytes < 2_000_000 || s.DeviceBytes > 20_000_000) { // 0 in tmpfs
		t.Errorf("%d bytes written to storage", s.DeviceBytes)
	}
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := testOptions(filepath.Join(file, "store"))
	full := testOptions(filepath.Join(dir, "full"))
	full.free = func(string) (int64, error) { return 10 << 20, nil }
	locked := testOptions(filepath.Join(dir, "locked"))
	mustOpen(t, locked)
	noManifest := testOptions(filepath.Join(dir, "broken"))
	if err := os.MkdirAll(noManifest.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(noManifest.Dir, "000001.sst"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts Options
		want error
		says string
	}{
		{"not a directory", inFile, nil, "right to write"},
		{"full disk", full, gateway.ErrFull, "delete files"},
		{"second process", locked, ErrLocked, "running already"},
		{"no manifest", noManifest, ErrDamaged, "no MANIFEST"},
		{"no clock", Defaults(dir), gateway.ErrInvalid, "clock"},
	} {
		_, err := Open(c.opts)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestLogsWithoutAByte are what a kill leaves that comes between the creation
// of a log file and its first byte.
func TestLogsWithoutAByte(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	ids := mustAppend(t, q, msg(gateway.LaneTelemetry, "kept"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00077.mem", "000077.vlog"} {
		if err := os.WriteFile(filepath.Join(o.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := mustNext(t, mustOpen(t, o)); got.ID != ids[0] {
		t.Errorf("got %s, want %s", got.ID, ids[0])
	}
}

func TestNearlyFullDiskRefusesAndKeepsWhatItHas(t *testing.T) {
	o := testOptions(t.TempDir())
	free := int64(1 << 40)
	var mu sync.Mutex
	o.free = func(string) (int64, error) { mu.Lock(); defer mu.Unlock(); return free, nil }
	q := mustOpen(t, o)
	ids := mustAppend(t, q, msg("telemetry", "kept"))
	mu.Lock()
	free = MinMinFree - 1
	mu.Unlock()
	if _, err := q.Append(t.Context(), msg("telemetry", "x")); !errors.Is(err, gateway.ErrFull) || !strings.Contains(err.Error(), "min_free") {
		t.Errorf("nearly full: %v", err)
	}
	if m := mustNext(t, q); m.ID != ids[0] {
		t.Errorf("got %s, want %s", m.ID, ids[0])
	}
	mu.Lock()
	free = 1 << 40
	mu.Unlock()
	mustAppend(t, q, msg("telemetry", "again"))
	if p := q.Stats().Problem; p != "" {
		t.Errorf("problem %q remains", p)
	}
}

func TestClosedQueueSaysSo(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	if err := errors.Join(q.Close(), q.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Append(t.Context(), msg("telemetry", "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := q.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("next: %v", err)
	}
}
