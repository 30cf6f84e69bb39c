package service

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/audit"
	"github.com/fieldpost/fieldpost/storeforward"
)

// holdings says what the queue still has of each lane, for an audit.
func (a *queueAPI) holdings(w http.ResponseWriter, r *http.Request) {
	s := newStream(w)
	list, err := a.hold(r.Context(), s.progress)
	if err == nil {
		err = s.line(WorkLine{Holdings: list})
	}
	s.end(err)
}

// hold takes stock in an order in which nothing is missed while the gateway
// goes on: a message that is given up after its lane was looked at is first
// part of the lane's loss, and then of a gap record.
func (a *queueAPI) hold(ctx context.Context, progress func(done, total uint64)) ([]audit.Holding, error) {
	before := a.queue.Stats()
	done, total := uint64(0), waiting(before)
	list := make([]audit.Holding, 0, len(before.Lanes))
	for _, l := range before.Lanes {
		if l.Lane == gateway.LaneDeadLetter {
			continue
		}
		h := audit.Holding{Store: l.Store, Lane: l.Lane, Next: l.Next}
		switch {
		case l.Store != before.Store:
			estimate(&h, l)
		case l.Lane != gateway.LaneGaps:
			err := a.each(ctx, l.Lane, 0, func(m gateway.Message) error {
				h.Waiting.Add(m.ID.Seq, m.ID.Seq)
				done++
				progress(min(done, total), total)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		list = append(list, h)
	}
	return list, a.holdGaps(ctx, list, before.Store)
}

// estimate is for a lane that was inherited. It cannot be listed, but the
// number of its messages is known.
func estimate(h *audit.Holding, l storeforward.LaneStats) {
	if l.Waiting == 0 {
		return
	}
	h.Waiting.Add(l.First, l.Next-1)
	if l.Waiting < l.Next-l.First {
		h.AtMost = l.Waiting
	}
}

// holdGaps adds what explains losses and may not have reached the receiver.
func (a *queueAPI) holdGaps(ctx context.Context, list []audit.Holding, store string) error {
	var gaps *audit.Holding
	for i := range list {
		if list[i].Store == store && list[i].Lane == gateway.LaneGaps {
			gaps = &list[i]
		}
	}
	if gaps == nil {
		return nil // a store always has the lane
	}
	for _, l := range a.queue.Stats().Lanes {
		if l.Gap != nil {
			gaps.Gaps = append(gaps.Gaps, *l.Gap)
		}
	}
	return a.each(ctx, gateway.LaneGaps, 0, func(m gateway.Message) error {
		gaps.Waiting.Add(m.ID.Seq, m.ID.Seq)
		var g gateway.Gap
		if json.Unmarshal(m.Body, &g) == nil && g.First > 0 && g.Last >= g.First {
			gaps.Gaps = append(gaps.Gaps, g)
		}
		return nil
	})
}
