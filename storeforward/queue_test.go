package storeforward

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/fieldpost/fieldpost/gateway"
)

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

// bringChunk puts a chunk into a lane, behind what is there, with the last byte
// of its last message flipped.
func bringChunk(t testing.TB, q *Queue, name gateway.Lane, list ...gateway.Message) {
	t.Helper()
	var records []byte
	for _, m := range list {
		records = appendRecord(records, m)
	}
	records[len(records)-1] ^= 1
	l := q.own[name]
	p, err := newPacker(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := p.pack(nil, frame{kind: frameChunk, store: l.store, first: l.next(), count: uint32(len(list))}, q.ages.stamp(), records)
	r := &request{chunks: []salvaged{{frame: f, lane: l}}, urgent: true, done: make(chan error, 1)}
	if err := q.submit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedChunkIsReportedAndPassed(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	mustAppend(t, q, msg("telemetry", "1"), msg("telemetry", "2"))
	bringChunk(t, q, "telemetry", msg("telemetry", "3"), msg("telemetry", "4"))
	mustAppend(t, q, msg("telemetry", "5"), msg("telemetry", "6"))
	for _, want := range []uint64{1, 2, 3, 5, 6} {
		if m := mustNext(t, q); m.ID.Seq != want {
			t.Errorf("got %s, want %d", m.ID, want)
		}
	}
	if gaps := toldGaps(t, q); len(gaps) != 1 || gaps[0].First != 4 || gaps[0].Last != 4 || gaps[0].Reason != gateway.GapDamaged {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestWhatTheIndexLosesIsFound in the files of the store.
func TestWhatTheIndexLosesIsFound(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for i := range 3 {
		mustAppend(t, q, msg("telemetry", fmt.Sprint(2*i+1)), msg("telemetry", fmt.Sprint(2*i+2)))
	}
	l := q.own["telemetry"]
	err := q.engine.update(0, func(txn *badger.Txn) error { return txn.Delete(chunkKey(l.number, l.tail().number, 3)) })
	if err != nil {
		t.Fatal(err)
	}
	q.mu.Lock()
	l.back.window = window{} // as after a restart
	q.mu.Unlock()
	for want := range 6 {
		if m := mustNext(t, q); string(m.Body) != fmt.Sprint(want+1) {
			t.Errorf("got %s %s, want %d", m.ID, m.Body, want+1)
		}
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

// TestFullGroupsComeBackWhole: several lanes and many chunks in one
// transaction, again and again, with bodies that shrink and bodies that do not.
func TestFullGroupsComeBackWhole(t *testing.T) {
	for _, key := range []string{"", testKey} {
		o := testOptions(filepath.Join(t.TempDir(), "queue"))
		o.Lanes, o.Key = map[gateway.Lane]LaneOptions{"bulk": {}}, []byte(key)
		q := mustOpen(t, o)
		want := make(map[gateway.Lane][]string)
		for round := range 6 {
			var group []gateway.Message
			for size, i := 0, 0; ; i++ {
				body := noise(300)
				lane := gateway.Lane("bulk")
				if i/50%2 == round%2 { // rows of fifty, in turn
					body, lane = telemetry(1000*round+i), gateway.LaneTelemetry
				}
				m := msg(lane, body)
				if size += recordSize(m); size > MaxAppendBytes {
					break
				}
				group = append(group, m)
				want[lane] = append(want[lane], body)
			}
			for i, id := range mustAppend(t, q, group...) {
				if lane := group[i].ID.Lane; id.Lane != lane || want[lane][id.Seq-1] != string(group[i].Body) {
					t.Fatalf("message %d of round %d is %s", i, round, id)
				}
			}
		}
		mustClose(t, q)
		q = mustOpen(t, o)
		for lane, bodies := range want {
			list, err := q.List(lane, 0, len(bodies)+1)
			if err != nil || len(list) != len(bodies) {
				t.Fatalf("lane %s has %d of %d: %v", lane, len(list), len(bodies), err)
			}
			for i, m := range list {
				if m.ID.Seq != uint64(i+1) || string(m.Body) != bodies[i] {
					t.Fatalf("%s holds %.40q, want %.40q", m.ID, m.Body, bodies[i])
				}
			}
		}
	}
}
