package storeforward

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// model is what the queue should be: per lane the messages accepted, which of
// them have been acknowledged, and which are explained by gap records.
type model struct {
	q     *Queue
	opts  Options
	clock *testClock
	lanes map[gateway.Lane]*modelLane
	// out was handed out and not acknowledged, in order.
	out     []gateway.MessageID
	counter int
}

type modelLane struct {
	bodies    []string
	accepted  []time.Duration // by the uptime of the model
	acked     intervals
	explained intervals
	// lost is what the queue has counted as lost, in runs before this one.
	lost   uint64
	handed map[uint64]bool // since the last rewind
}

// modelLanes: one evicts beyond a number, and is woven; one expires; one
// does neither.
var modelLanes = map[gateway.Lane]LaneOptions{
	"telemetry": {MaxMessages: 400}, "state": {TTL: time.Hour}, "alerts": {},
}

func TestRandomWalksAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "walk")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{opts: testOptions(dir), clock: newClock(), lanes: make(map[gateway.Lane]*modelLane)}
		m.opts.Clock, m.opts.Lanes, m.opts.epochBytes = m.clock, modelLanes, 20_000
		for name := range modelLanes {
			m.lanes[name] = &modelLane{handed: make(map[uint64]bool)}
		}
		m.reopen(rt)
		defer func() { _ = m.q.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append, "burst": m.burst, "next": m.next, "ack": m.ack, "rewind": m.rewind,
			"reopen": m.reopen, "wait": m.wait, "step": m.step, "purge": m.purge, "": m.check,
		})
		for range 2 { // what expires meanwhile is told at the end
			m.drain(rt)
			m.reopen(rt)
		}
		m.drain(rt)
		m.account(rt)
	})
}

func (m *model) append(t *rapid.T) { m.add(t, rapid.IntRange(1, 40).Draw(t, "n")) }
func (m *model) burst(t *rapid.T)  { m.add(t, rapid.IntRange(200, 300).Draw(t, "n")) }

func (m *model) add(t *rapid.T, n int) {
	lane := rapid.SampledFrom(m.names()).Draw(t, "lane")
	l := m.lanes[lane]
	size := rapid.SampledFrom([]int{1, 100, 800}).Draw(t, "size")
	var batch []gateway.Message
	for range n {
		m.counter++
		body := fmt.Sprintf("%0*d", size, m.counter)
		l.bodies = append(l.bodies, body)
		l.accepted = append(l.accepted, m.clock.Uptime())
		batch = append(batch, msg(lane, body))
	}
	ids, err := m.q.Append(context.Background(), batch...)
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64(len(l.bodies) - n + 1); ids[0].Seq != want || len(ids) != n {
		t.Fatalf("%d ids from %d, want %d from %d", len(ids), ids[0].Seq, n, want)
	}
}

func (m *model) names() (list []gateway.Lane) {
	for name := range m.lanes {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// old reports whether a message has outlived its TTL.
func (m *model) old(lane gateway.Lane, seq uint64) bool {
	ttl := modelLanes[lane].TTL
	return ttl > 0 && m.clock.Uptime()-m.lanes[lane].accepted[seq-1] >= ttl
}

func (m *model) next(t *rapid.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if !m.waits() {
		cancel()
	}
	got, err := m.q.Next(ctx)
	switch {
	case err != nil && ctx.Err() != nil && !m.waits():
	case err != nil:
		t.Fatal(err)
	default:
		m.take(t, got)
	}
}

// waits reports whether Next has something to hand out for certain.
func (m *model) waits() bool {
	for name, l := range m.lanes {
		_, there := m.head(name, l, 1)
		if there {
			return true
		}
	}
	return false
}

// head is the first message from seq on that is still to be handed out.
func (m *model) head(name gateway.Lane, l *modelLane, seq uint64) (uint64, bool) {
	lost := m.gone(name)
	for ; seq <= uint64(len(l.bodies)); seq++ {
		if !l.handed[seq] && !l.acked.has(seq) && !lost.has(seq) && !m.old(name, seq) {
			return seq, true
		}
	}
	return 0, false
}

// gone is what has left a lane, by the queue's own account.
func (m *model) gone(name gateway.Lane) mark {
	m.q.mu.Lock()
	defer m.q.mu.Unlock()
	l := m.q.own[name]
	return mark{l.acked, slices.Clone(l.done)}
}

func (m mark) has(seq uint64) bool { return seq <= m.acked || m.done.has(seq) }

func (m *model) take(t *rapid.T, got gateway.Message) {
	if got.ID.Lane == gateway.LaneGaps {
		m.explain(t, got)
		return
	}
	name, seq := got.ID.Lane, got.ID.Seq
	l := m.lanes[name]
	if string(got.Body) != l.bodies[seq-1] {
		t.Fatalf("%s has another body", got.ID)
	}
	if l.acked.has(seq) || l.handed[seq] || m.old(name, seq) {
		t.Fatalf("%s comes; acknowledged %v, handed out %v, old %v", got.ID, l.acked.has(seq), l.handed[seq], m.old(name, seq))
	}
	m.q.mu.Lock()
	live := m.q.own[name].liveFrom
	m.q.mu.Unlock()
	first, _ := m.head(name, l, 1)
	if liveFirst, ok := m.head(name, l, live); first != seq && (live == 0 || !ok || liveFirst != seq) {
		t.Fatalf("%s comes before %d", got.ID, first)
	}
	l.handed[seq] = true
	m.out = append(m.out, got.ID)
}

func (m *model) explain(t *rapid.T, got gateway.Message) {
	var g gateway.Gap
	if err := json.Unmarshal(got.Body, &g); err != nil {
		t.Fatal(err)
	}
	l := m.lanes[g.Lane]
	if n := l.explained.count(g.First, g.Last); n != 0 && n != g.Count { // it may come again
		t.Fatalf("gap %+v explains %d numbers twice", g, n)
	}
	if n := l.acked.count(g.First, g.Last); n != 0 {
		t.Fatalf("gap %+v explains %d that were acknowledged", g, n)
	}
	l.explained.add(g.First, g.Last)
	if err := m.q.Ack(got.ID); err != nil {
		t.Fatal(err)
	}
}

func (m *model) ack(t *rapid.T) {
	if len(m.out) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.out)-1).Draw(t, "which")
	id := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	if !m.gone(id.Lane).has(id.Seq) { // else it was given up meanwhile
		m.lanes[id.Lane].acked.add(id.Seq, id.Seq)
	}
	if err := m.q.Ack(id, id); err != nil {
		t.Fatal(err)
	}
}

func (m *model) rewind(*rapid.T) {
	m.q.Rewind()
	m.forget()
}

func (m *model) forget() {
	m.out = nil
	for _, l := range m.lanes {
		clear(l.handed)
	}
}

func (m *model) wait(t *rapid.T) {
	m.clock.add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
}

func (m *model) step(t *rapid.T) {
	m.clock.step(time.Duration(rapid.IntRange(-10, 10).Draw(t, "years")) * 365 * 24 * time.Hour)
}

func (m *model) purge(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "really") > 0 {
		return
	}
	if _, err := m.q.Purge(context.Background(), rapid.SampledFrom(m.names()).Draw(t, "lane")); err != nil {
		t.Fatal(err)
	}
}

// reopen is a clean restart.
func (m *model) reopen(t *rapid.T) {
	if m.q != nil {
		if err := m.q.Close(); err != nil {
			t.Fatal(err)
		}
		for name, l := range m.lanes { // nothing expires any more
			l.lost += m.q.lostIn(m.q.own[name])
		}
	}
	q, err := Open(m.opts)
	if err != nil {
		t.Fatal(err)
	}
	m.q = q
	m.forget()
	for name, l := range m.lanes { // of many runs only some are kept
		l.acked = slices.DeleteFunc(l.acked, func(run interval) bool { return !m.gone(name).has(run.first) })
	}
}

// check: at any instant accepted = acknowledged + waiting + lost.
func (m *model) check(t *rapid.T) {
	for _, s := range m.q.Stats().Lanes {
		l := m.lanes[s.Lane]
		if l == nil {
			continue
		}
		acked, n := l.acked.count(1, uint64(len(l.bodies))), uint64(len(l.bodies))
		if n != acked+s.Waiting+s.Lost+l.lost {
			t.Fatalf("lane %s: %d accepted, %d acknowledged, %d waiting, %d lost", s.Lane, n, acked, s.Waiting, s.Lost+l.lost)
		}
		if limit := modelLanes[s.Lane].MaxMessages; limit > 0 && int64(s.Waiting) > limit {
			t.Fatalf("lane %s: %d waiting, the bound is %d", s.Lane, s.Waiting, limit)
		}
	}
}

// drain takes everything.
func (m *model) drain(t *rapid.T) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if !m.waits() && len(m.unread()) == 0 {
			cancel()
			break
		}
		got, err := m.q.Next(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		m.take(t, got)
		if l := m.lanes[got.ID.Lane]; l != nil {
			l.acked.add(got.ID.Seq, got.ID.Seq)
			if err := m.q.Ack(got.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// account: what has not arrived is explained, and only that.
func (m *model) account(t *rapid.T) {
	for name, l := range m.lanes {
		gone := m.gone(name)
		for seq := uint64(1); seq <= uint64(len(l.bodies)); seq++ {
			explained := l.explained.has(seq)
			if gone.has(seq) && explained == l.acked.has(seq) {
				t.Fatalf("%s %d: arrived %v, explained %v", name, seq, l.acked.has(seq), explained)
			}
		}
	}
}

// unread are the gap records that wait.
func (m *model) unread() []gateway.Message {
	list, _ := m.q.List(gateway.LaneGaps, 0, 1)
	return list
}
