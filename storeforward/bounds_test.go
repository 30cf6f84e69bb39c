package storeforward

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

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
	for _, g := range toldGaps(t, q) {
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

// has to be made for another. Each loss has its own gap record.
func TestTwoLossesInOneGroup(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytes = MinMaxBytes
	q := mustOpen(t, o)
	large := func() gateway.Message { return msg(gateway.LaneTelemetry, noise(250_000)) }
	for laneStats(t, q, gateway.LaneTelemetry).Bytes+250_000 <= o.MaxBytes-engineBytes {
		mustAppend(t, q, large())
	}
	l, next := q.own[gateway.LaneTelemetry], laneStats(t, q, gateway.LaneTelemetry).Next
	loss := &request{spans: []span{{lane: l, first: next - 1, last: next - 1, reason: gateway.GapRejected}}, exempt: true}
	full := &request{}
	if err := q.put(full, large()); err != nil {
		t.Fatal(err)
	}
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
	if gaps := toldGaps(t, q); len(gaps) != 2 || gaps[0].Reason == gaps[1].Reason {
		t.Fatalf("gap records %+v, want two", gaps)
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
