package audit

import (
	"fmt"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// laneKey names a lane. Stores have random names, so the device need not be
// part of it: a store that comes from two devices is a finding.
type laneKey struct {
	store string
	lane  gateway.Lane
}

// lane is what is known of a lane. It grows with its holes, not with its
// messages.
type lane struct {
	devices           []string
	received, excused Ranges
	duplicates        uint64
	notCompared       uint64
	conflicts         Ranges
	// After an outage a lane may come as two rows, each ascending: new messages
	// and the backlog. upper and lower are where they have come to.
	upper, lower    uint64
	woven, disorder uint64
	// What the gateway has said: what waits, and what is explained by gap
	// records that may not have been delivered.
	holding                *Holding
	queued, excusedAtStore Ranges
}

const (
	// maxDevices bounds how many devices of a store are remembered.
	maxDevices = 8
	// maxDeviceText bounds a name, since it comes from outside.
	maxDeviceText = 128
)

// Auditor judges the messages of one receiver. It is not for concurrent use.
type Auditor struct {
	lanes    map[laneKey]*lane
	contents contents
	messages uint64
	compared bool // there are holdings
}

// New gives an auditor that has seen nothing.
func New() *Auditor {
	return &Auditor{lanes: make(map[laneKey]*lane), contents: newContents()}
}

// Add takes one message, as a line of JSON: an event of the hub or of its
// simulator, an envelope of a plain broker, or an export of the queue. The error
// says what is wrong with the line, which then counts for nothing. Dead letters
// never leave the gateway, and are passed over.
func (a *Auditor) Add(data []byte) error {
	e, err := parse(data)
	if err != nil || e.id.Lane == gateway.LaneDeadLetter {
		return err
	}
	var gap gateway.Gap
	if e.kind == gateway.KindGap {
		if gap, err = e.gap(); err != nil {
			return err
		}
	}
	a.messages++
	a.count(a.lane(laneKey{e.id.Store, e.id.Lane}), &e)
	if e.kind == gateway.KindGap && gap.Device == "" {
		a.lane(laneKey{gap.Store, gap.Lane}).excused.Add(gap.First, gap.Last)
	}
	return nil
}

func (a *Auditor) lane(key laneKey) *lane {
	l := a.lanes[key]
	if l == nil {
		l = new(lane)
		a.lanes[key] = l
	}
	return l
}

func (a *Auditor) count(l *lane, e *entry) {
	if d := e.device[:min(len(e.device), maxDeviceText)]; d != "" && len(l.devices) < maxDevices && !slices.Contains(l.devices, d) {
		l.devices = append(l.devices, d)
	}
	seq := e.id.Seq
	fresh := l.received.Add(seq, seq) > 0
	var known, same bool
	if !e.estimated {
		known, same = a.contents.note(l, seq, e.content)
	}
	switch {
	case fresh:
		l.order(seq)
	case !known:
		l.duplicates++
		l.notCompared++
	case !same:
		l.duplicates++
		l.conflicts.Add(seq, seq)
	default:
		l.duplicates++
	}
}

// order puts a first delivery into the row that it belongs to.
func (l *lane) order(seq uint64) {
	switch {
	case seq > l.upper:
		l.upper = seq
	case seq > l.lower:
		l.lower = seq
		l.woven++
	default:
		l.disorder++
	}
}

// Hold says what the gateway still has of a lane, for the comparison. Ask the
// gateway first and the receiver afterwards: what leaves the queue in between
// is then among what was received.
func (a *Auditor) Hold(h Holding) error {
	if h.Store == "" || !gateway.ValidLane(string(h.Lane)) || h.Next == 0 || h.Next > maxSeq {
		return fmt.Errorf("holding of store %.80q, lane %.80q, next %d: want store, lane and next", h.Store, h.Lane, h.Next)
	}
	l := a.lane(laneKey{h.Store, h.Lane})
	a.compared, l.holding = true, &h
	for _, r := range h.Waiting {
		if r.First == 0 || r.Last < r.First || r.Last > maxSeq {
			return fmt.Errorf("holding of store %s, lane %s: waiting %d to %d: want 1 <= first <= last", h.Store, h.Lane, r.First, r.Last)
		}
		l.queued.Add(r.First, r.Last)
	}
	for _, g := range h.Gaps {
		if err := checkGap(g); err != nil {
			return fmt.Errorf("holding of store %s, lane %s: gap: %w", h.Store, h.Lane, err)
		}
		a.lane(laneKey{g.Store, g.Lane}).excusedAtStore.Add(g.First, g.Last)
	}
	return nil
}
