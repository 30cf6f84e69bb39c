package storeforward

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// lineage is a lane of a damaged store: the store that its messages were
// accepted by, and its number in the damaged one.
type lineage struct {
	store  string
	number uint8
}

// foundLane is what was found of one lane.
type foundLane struct {
	name   gateway.Lane
	acked  uint64
	next   uint64
	chunks []chunkPlace
}

// findings is what can be read in damaged stores. Of everything that is found
// in several versions, the one that has come furthest counts.
type findings struct {
	unpacker *unpacker
	beat     func()
	lanes    map[lineage]*foundLane
	entries  map[string]foundEntry
	losses   map[string]gateway.Gap
	// wrongKey: a store was written with another key than this one.
	wrongKey bool
}

type foundEntry struct {
	journalRecord
	arrival uint64
}

func newFindings(u *unpacker, beat func()) *findings {
	return &findings{
		unpacker: u, beat: beat, lanes: make(map[lineage]*foundLane),
		entries: make(map[string]foundEntry), losses: make(map[string]gateway.Gap),
	}
}

// scan reads a damaged store through.
func (f *findings) scan(w wreck) error {
	err := scanStore(w.dir, func(fr frame, at place) error {
		f.beat()
		f.take(fr, at)
		return nil
	})
	if heard, e := hear(filepath.Join(w.dir, wreckWitness)); e == nil && heard != nil {
		f.hear(heard)
	}
	return err
}

// hear adds what the witness of a damaged store knows, also of lanes of which
// nothing else is left.
func (f *findings) hear(t *testimony) {
	for name, s := range t.lanes {
		var known *foundLane
		number := uint8(0)
		for key, l := range f.lanes {
			if key.store == t.store {
				number = max(number, key.number)
				if l.name == name {
					known = l
				}
			}
		}
		if known == nil {
			known = &foundLane{name: name}
			f.lanes[lineage{t.store, number + 1}] = known
		}
		known.acked, known.next = max(known.acked, s.acked), max(known.next, s.next)
	}
}

func (f *findings) take(fr frame, at place) {
	switch fr.kind {
	case frameStore:
		f.identity(fr)
	case frameLane:
		if gateway.ValidLane(string(fr.payload)) {
			f.of(fr).name = gateway.Lane(fr.payload)
		}
	case frameCursor:
		if c, err := decodeCursor(fr.payload); err == nil {
			l := f.of(fr)
			l.name, l.acked, l.next = c.lane, max(l.acked, c.acked), max(l.next, c.next)
		}
	case frameChunk:
		l := f.of(fr)
		l.chunks = append(l.chunks, chunkPlace{first: fr.first, count: fr.count, epoch: fr.epoch, size: len(fr.payload), at: at})
		l.next = max(l.next, fr.last()+1)
	case frameJournal:
		if r, err := openRecord(fr, f.unpacker.sealer); err == nil {
			f.entry(foundEntry{r, fr.first})
		}
	case frameGap:
		f.loss(fr)
	}
}

func (f *findings) identity(fr frame) {
	var id identity
	if json.Unmarshal(fr.payload, &id) == nil && id.locked(f.unpacker.sealer) {
		f.wrongKey = true
	}
}

func (f *findings) of(fr frame) *foundLane {
	key := lineage{fr.store, fr.lane}
	l := f.lanes[key]
	if l == nil {
		l = &foundLane{}
		f.lanes[key] = l
	}
	return l
}

func (f *findings) entry(e foundEntry) {
	known, seen := f.entries[e.Command.ID]
	if !seen || progress(e.Entry) > progress(known.Entry) {
		f.entries[e.Command.ID] = e
	}
}

func progress(e gateway.Entry) int {
	switch {
	case e.Result != nil:
		return 2
	case e.Started:
		return 1
	}
	return 0
}

func (f *findings) loss(fr frame) {
	g, err := openLoss(fr, f.unpacker.sealer)
	if err != nil {
		return
	}
	key := fmt.Sprintf("%s %s %020d", g.Store, g.Lane, g.First)
	if known, seen := f.losses[key]; !seen || known.Last < g.Last {
		f.losses[key] = *g
	}
}

// order lists the lanes so that the result does not depend on chance.
func (f *findings) order() []lineage {
	return slices.SortedFunc(maps.Keys(f.lanes), func(a, b lineage) int {
		return cmp.Or(strings.Compare(a.store, b.store), cmp.Compare(a.number, b.number))
	})
}

// finish brings the chunks into order.
func (l *foundLane) finish() {
	if l.name == "" { // nothing but chunks is left of the lane
		l.name = gateway.LaneTelemetry
	}
	slices.SortStableFunc(l.chunks, func(a, b chunkPlace) int { return cmp.Compare(a.first, b.first) })
}

// commands lists the entries of the journal in the order of their arrival.
func (f *findings) commands() []foundEntry {
	return slices.SortedFunc(maps.Values(f.entries), func(a, b foundEntry) int { return cmp.Compare(a.arrival, b.arrival) })
}

// letters lists the dead letters.
func (f *findings) letters() (list []gateway.Message) {
	for _, key := range f.order() {
		l := f.lanes[key]
		if l.name != gateway.LaneDeadLetter {
			continue
		}
		next := l.acked + 1
		for _, c := range l.chunks {
			if c.last() < next {
				continue
			}
			fr, err := readFrame(c.at, c.size)
			if err != nil {
				continue
			}
			w, _ := f.unpacker.unpack(fr) // what can be read of it
			for ; next < w.next(); next++ {
				if m, ok := w.at(next); ok {
					m.ID = gateway.MessageID{Lane: gateway.LaneDeadLetter}
					list = append(list, m)
				}
			}
		}
	}
	return list
}

// gaps lists the losses that may not have been told yet.
func (f *findings) gaps() (list []gateway.Message) {
	for _, key := range slices.Sorted(maps.Keys(f.losses)) {
		list = append(list, gapMessage(f.losses[key]))
	}
	return list
}
