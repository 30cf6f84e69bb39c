package hubsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
)

// laneKey names a lane: the sequence numbers in it are contiguous.
type laneKey struct{ device, store, lane string }

// lane is what is known of a lane. It grows with its holes, not with its
// messages.
type lane struct {
	received, excused      intervals
	duplicates, outOfOrder uint64
}

// audit keeps account of sequence numbers, from the application properties
// store, lane and seq of what arrives, and from gap records.
type audit struct {
	mu    sync.Mutex
	lanes map[laneKey]*lane
}

func newAudit() *audit { return &audit{lanes: map[laneKey]*lane{}} }

// observe counts a message. The error is about a gap record that explains
// nothing; the message itself is counted.
func (a *audit) observe(device string, property func(name string) string, body []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	seq, err := strconv.ParseUint(property("seq"), 10, 64)
	store, name := property("store"), property("lane")
	if err == nil && seq > 0 && store != "" && name != "" {
		a.lane(laneKey{device, store, name}).count(seq)
	}
	if property("kind") != string(gateway.KindGap) {
		return nil
	}
	var gap gateway.Gap
	if err := json.Unmarshal(body, &gap); err != nil {
		return fmt.Errorf("gap record: %w", err)
	}
	if gap.Device != "" { // it is about readings, not messages
		return nil
	}
	if gap.First == 0 || gap.Last < gap.First || gap.Store == "" || gap.Lane == "" {
		return fmt.Errorf("gap record of store %q, lane %q, %d to %d: want store, lane, and 1 <= first <= last", gap.Store, gap.Lane, gap.First, gap.Last)
	}
	a.lane(laneKey{device, gap.Store, string(gap.Lane)}).excused.add(span{gap.First, gap.Last})
	return nil
}

func (a *audit) lane(key laneKey) *lane {
	l := a.lanes[key]
	if l == nil {
		l = &lane{}
		a.lanes[key] = l
	}
	return l
}

func (l *lane) count(seq uint64) {
	late := len(l.received) > 0 && seq < l.received[len(l.received)-1].last
	switch fresh := l.received.add(span{seq, seq}) > 0; {
	case !fresh:
		l.duplicates++
	case late:
		l.outOfOrder++
	}
}

// auditRow is the account of one lane. First and Last are the lowest and the
// highest number that arrived or was explained. Holes counts the numbers
// between them that have not arrived, and Explained those of the holes that a
// gap record covers: a lane is complete if the two are equal.
type auditRow struct {
	Device string `json:"device"`
	Store  string `json:"store"`
	Lane   string `json:"lane"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	// Received counts numbers, not messages: repeats are Duplicates.
	Received   uint64 `json:"received"`
	Duplicates uint64 `json:"duplicates"`
	// OutOfOrder counts first deliveries below a number that was there already.
	OutOfOrder uint64 `json:"out_of_order"`
	Holes      uint64 `json:"holes"`
	Explained  uint64 `json:"explained"`
}

func (l *lane) row(key laneKey) auditRow {
	r := auditRow{
		Device: key.device, Store: key.store, Lane: key.lane,
		Received: l.received.total(), Duplicates: l.duplicates, OutOfOrder: l.outOfOrder,
	}
	for _, set := range []intervals{l.received, l.excused} {
		if len(set) > 0 {
			if r.First == 0 || set[0].first < r.First {
				r.First = set[0].first
			}
			r.Last = max(r.Last, set[len(set)-1].last)
		}
	}
	r.Holes = r.Last - r.First + 1 - r.Received
	r.Explained = l.excused.total() - l.excused.shared(l.received)
	return r
}

// rows lists the accounts by device, store and lane.
func (a *audit) rows() []auditRow {
	a.mu.Lock()
	defer a.mu.Unlock()
	rows := make([]auditRow, 0, len(a.lanes))
	for key, l := range a.lanes {
		rows = append(rows, l.row(key))
	}
	slices.SortFunc(rows, func(x, y auditRow) int {
		return cmp.Or(cmp.Compare(x.Device, y.Device), cmp.Compare(x.Store, y.Store), cmp.Compare(x.Lane, y.Lane))
	})
	return rows
}
