package hubsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// naive is the audit of one lane with a set of numbers, by the words of the
// documentation.
type naive struct {
	received, excused      map[uint64]bool
	highest                uint64
	duplicates, outOfOrder uint64
}

func (n *naive) count(seq uint64) {
	switch {
	case n.received[seq]:
		n.duplicates++
	case seq < n.highest:
		n.outOfOrder++
	}
	n.received[seq] = true
	n.highest = max(n.highest, seq)
}

func (n *naive) row() auditRow {
	r := auditRow{Device: "d", Store: "s", Lane: "l", Received: uint64(len(n.received)), Duplicates: n.duplicates, OutOfOrder: n.outOfOrder}
	for _, set := range []map[uint64]bool{n.received, n.excused} {
		for seq := range set {
			if r.First == 0 || seq < r.First {
				r.First = seq
			}
			r.Last = max(r.Last, seq)
		}
	}
	for seq := r.First; seq <= r.Last; seq++ {
		if !n.received[seq] {
			r.Holes++
			if n.excused[seq] {
				r.Explained++
			}
		}
	}
	return r
}

func TestAuditAgainstNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, n := newAudit(), &naive{received: map[uint64]bool{}, excused: map[uint64]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"message": func(t *rapid.T) {
				seq := rapid.Uint64Range(1, 40).Draw(t, "seq")
				n.count(seq)
				if err := a.observe("d", lookup("s", "l", seq, "telemetry"), nil); err != nil {
					t.Fatal(err)
				}
			},
			"gap": func(t *rapid.T) {
				first := rapid.Uint64Range(1, 40).Draw(t, "first")
				last := rapid.Uint64Range(first, 45).Draw(t, "last")
				for seq := first; seq <= last; seq++ {
					n.excused[seq] = true
				}
				body, _ := json.Marshal(gateway.Gap{Store: "s", Lane: "l", First: first, Last: last})
				if err := a.observe("d", lookup("", "", 0, "gap"), body); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				rows := a.rows()
				if len(n.received)+len(n.excused) == 0 {
					if len(rows) != 0 {
						t.Fatalf("rows of nothing: %+v", rows)
					}
					return
				}
				if len(rows) != 1 || rows[0] != n.row() {
					t.Fatalf("got %+v, want %+v", rows, n.row())
				}
				checkSpans(t, a.lanes[laneKey{"d", "s", "l"}].received)
			},
		})
	})
}

// checkSpans wants spans in order that do not touch.
func checkSpans(t *rapid.T, set intervals) {
	for i, s := range set {
		if s.first > s.last || i > 0 && set[i-1].last+1 >= s.first {
			t.Fatalf("spans %v", set)
		}
	}
}

func lookup(store, lane string, seq uint64, kind string) func(string) string {
	return func(name string) string {
		return map[string]string{"store": store, "lane": lane, "seq": fmt.Sprint(seq), "kind": kind}[name]
	}
}

// A lane without holes takes no memory for each message.
func TestAuditIsSmall(t *testing.T) {
	a := newAudit()
	for seq := range uint64(100_000) {
		if err := a.observe("d", lookup("s", "l", seq+1, ""), nil); err != nil {
			t.Fatal(err)
		}
	}
	if set := a.lanes[laneKey{"d", "s", "l"}].received; !slices.Equal(set, intervals{{1, 100_000}}) {
		t.Errorf("spans %v", set)
	}
}

func TestAuditEdges(t *testing.T) {
	const most = 1<<64 - 1
	var set intervals
	for _, c := range []struct {
		add  span
		news uint64
	}{{span{most, most}, 1}, {span{1, 1}, 1}, {span{most - 1, most}, 1}, {span{2, most - 2}, most - 3}, {span{1, most}, 0}} {
		if n := set.add(c.add); n != c.news {
			t.Errorf("adding %v: %d new, want %d", c.add, n, c.news)
		}
	}
	if !slices.Equal(set, intervals{{1, most}}) {
		t.Errorf("spans %v", set)
	}
}

// TestGapInReadingsExplainsNoMessages: it is about what never came to the gateway.
func TestGapInReadingsExplainsNoMessages(t *testing.T) {
	a := newAudit()
	of := map[string]string{"store": "s", "lane": "telemetry", "seq": "1", "kind": "gap"}
	if err := a.observe("d", func(name string) string { return of[name] }, []byte(`{"device":"mixer","first":5,"last":0,"count":0,"reason":"reset"}`)); err != nil {
		t.Error(err)
	}
	if len(a.lanes) != 1 {
		t.Errorf("%d lanes", len(a.lanes))
	}
}

func TestAuditOverTheWire(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	for _, seq := range []int{1, 2, 6, 4, 2} {
		p.send(fmt.Sprintf("store=s&lane=telemetry&seq=%d&kind=telemetry", seq), "x")
	}
	gap, _ := json.Marshal(gateway.Gap{Store: "s", Lane: "telemetry", First: 5, Last: 7, Count: 3, Reason: gateway.GapOverflow, Time: time.Now()})
	p.send("%24.ct=application%2Fjson&store=s&lane=gaps&seq=1&kind=gap", string(gap))
	p.send("store=s&lane=gaps&seq=2&kind=gap", `{"store":"s","lane":"telemetry","first":3,"last":2}`)
	r.says("a gap record explains nothing")
	p.send("seq=0&store=s&lane=l", "no number")
	want := []auditRow{
		{Device: "d1", Store: "s", Lane: "gaps", First: 1, Last: 2, Received: 2},
		{Device: "d1", Store: "s", Lane: "telemetry", First: 1, Last: 7, Received: 4, Duplicates: 1, OutOfOrder: 1, Holes: 3, Explained: 2},
	}
	for range 2 { // the second time after a restart
		var rows []auditRow
		if err := json.Unmarshal([]byte(r.must("GET", "/hubsim/audit", "")), &rows); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(rows, want) {
			t.Errorf("got  %+v\nwant %+v", rows, want)
		}
		r = r.restart()
	}
}
