package audit

import (
	"cmp"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// Report is the judgement.
type Report struct {
	// Complete: nothing is missing, and no message has two contents.
	Complete bool `json:"complete"`
	// Messages counts the lines that are messages, repeats included.
	Messages uint64       `json:"messages"`
	Lanes    []LaneReport `json:"lanes"`
}

// LaneReport is the account of one lane.
type LaneReport struct {
	Store   string       `json:"store"`
	Lane    gateway.Lane `json:"lane"`
	Devices []string     `json:"devices,omitempty"`
	// First and Last are the lowest and the highest number that was received or
	// explained; 0 if there is none.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Received counts numbers, not messages: repeats are Duplicates.
	Received   uint64 `json:"received"`
	Duplicates uint64 `json:"duplicates"`
	// NotCompared are duplicates whose first delivery was too long ago to be
	// remembered what it said, and those with estimated times.
	NotCompared uint64 `json:"not_compared,omitempty"`
	// Woven counts first deliveries of a backlog that came beside newer
	// messages, OutOfOrder those that fit neither row. Neither is a fault of
	// completeness.
	Woven      uint64 `json:"woven"`
	OutOfOrder uint64 `json:"out_of_order"`
	// Holes counts the numbers between First and Last, or, if the gateway was
	// asked, all accepted ones, that were not received. Explained of them have a
	// gap record and Queued still wait; the others are Unexplained.
	Holes       uint64 `json:"holes"`
	Explained   uint64 `json:"explained"`
	Queued      uint64 `json:"queued"`
	Unexplained uint64 `json:"unexplained"`
	// Missing are the unexplained numbers, the first MaxListed ranges of them.
	Missing Ranges `json:"missing,omitempty"`
	// Conflicts counts the numbers that came with more than one content, and
	// Conflicting lists them, the first MaxListed ranges.
	Conflicts   uint64 `json:"conflicts"`
	Conflicting Ranges `json:"conflicting,omitempty"`
	// Asked: the gateway has said what it holds of this lane. Accepted is then
	// how many messages it has ever taken into it, as far as is known, and
	// Accepted = Received + Explained + Queued + Unexplained.
	Asked    bool   `json:"asked"`
	Accepted uint64 `json:"accepted,omitempty"`
	// Newer counts what was received beyond what the gateway had accepted when
	// it was asked.
	Newer uint64 `json:"newer,omitempty"`
	// Final: it has accepted nothing since, so that Newer is a contradiction.
	Final bool `json:"final,omitempty"`
}

// MaxListed bounds how many ranges a report lists of one kind in a lane.
const MaxListed = 1000

// Complete reports whether nothing is missing in the lane, and nothing is there
// that cannot be.
func (r *LaneReport) Complete() bool {
	return r.Unexplained == 0 && r.Conflicts == 0 && r.Impossible() == 0
}

// Impossible counts what was received and never accepted.
func (r *LaneReport) Impossible() uint64 {
	if r.Final {
		return r.Newer
	}
	return 0
}

// Compared reports whether the gateway was asked what it holds.
func (r *Report) Compared() bool {
	return slices.ContainsFunc(r.Lanes, func(l LaneReport) bool { return l.Asked })
}

// Report judges what was added until now. Without a message and without a
// holding there is nothing to prove, and it is not complete.
func (a *Auditor) Report() Report {
	r := Report{Messages: a.messages, Complete: a.messages > 0 || a.compared}
	for key, l := range a.lanes {
		lr := l.report(key)
		r.Complete = r.Complete && lr.Complete()
		r.Lanes = append(r.Lanes, lr)
	}
	slices.SortFunc(r.Lanes, func(x, y LaneReport) int {
		return cmp.Or(cmp.Compare(x.Store, y.Store), cmp.Compare(x.Lane, y.Lane))
	})
	return r
}

func (l *lane) report(key laneKey) LaneReport {
	r := LaneReport{
		Store: key.store, Lane: key.lane, Devices: l.devices,
		Received: l.received.Count(), Duplicates: l.duplicates, NotCompared: l.notCompared,
		Woven: l.woven, OutOfOrder: l.disorder,
		Conflicts: l.conflicts.Count(), Conflicting: listed(l.conflicts),
	}
	r.First, r.Last = l.ends()
	l.judge(&r)
	return r
}

// ends are the lowest and the highest number that was received or explained.
func (l *lane) ends() (first, last uint64) {
	for _, set := range []Ranges{l.received, l.excused} {
		if len(set) == 0 {
			continue
		}
		if first == 0 || set[0].First < first {
			first = set[0].First
		}
		last = max(last, set[len(set)-1].Last)
	}
	return first, last
}

// judge finds the holes and what explains them.
func (l *lane) judge(r *LaneReport) {
	holes := l.due(r).minus(l.received)
	unexplained := holes.minus(l.excused).minus(l.excusedAtStore)
	missing := unexplained.minus(l.queued)
	r.Holes, r.Explained = holes.Count(), holes.Count()-unexplained.Count()
	r.Queued, r.Unexplained = unexplained.Count()-missing.Count(), missing.Count()
	r.Missing = listed(missing)
}

// due is the numbers that must be accounted for: those between the ends, and
// all that the gateway has accepted, if it was asked.
func (l *lane) due(r *LaneReport) (all Ranges) {
	if r.Last > 0 {
		all.Add(r.First, r.Last)
	}
	h := l.holding
	if h == nil {
		return all
	}
	accepted := h.Next - 1
	r.Asked, r.Accepted = true, max(accepted, r.Last)
	r.Newer, r.Final = l.received.above(accepted), h.Final
	if r.Accepted > 0 {
		all.Add(1, r.Accepted)
	}
	return all
}

func listed(s Ranges) Ranges { return s[:min(len(s), MaxListed)] }
