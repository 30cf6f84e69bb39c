package service

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/audit"
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
		if l.Lane != gateway.LaneGaps {
			err := a.each(ctx, laneOf{l.Store, l.Lane}, 0, func(m gateway.Message) error {
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
	return list, a.holdGaps(ctx, list)
}

// holdGaps adds what explains losses and may not have reached the receiver.
func (a *queueAPI) holdGaps(ctx context.Context, list []audit.Holding) error {
	stats := a.queue.Stats()
	for i := range list {
		h := &list[i]
		if h.Lane != gateway.LaneGaps {
			continue
		}
		for _, l := range stats.Lanes {
			if l.Gap != nil && h.Store == stats.Store {
				h.Gaps = append(h.Gaps, *l.Gap)
			}
		}
		err := a.each(ctx, laneOf{h.Store, h.Lane}, 0, func(m gateway.Message) error {
			h.Waiting.Add(m.ID.Seq, m.ID.Seq)
			var g gateway.Gap
			if json.Unmarshal(m.Body, &g) == nil && g.First > 0 && g.Last >= g.First {
				h.Gaps = append(h.Gaps, g)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
