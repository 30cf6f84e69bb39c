package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// stream answers with one JSON object a line, for as long as the work takes.
// What goes wrong after the first line is the last one, a Fault.
type stream struct {
	w       http.ResponseWriter
	encoder *json.Encoder
	begun   bool
	told    time.Time
}

func newStream(w http.ResponseWriter) *stream {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // bodies stay what they are
	return &stream{w: w, encoder: encoder}
}

func (s *stream) line(v any) error {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	return s.encoder.Encode(v)
}

// progressEvery is how often somebody who waits hears how far the work is.
const progressEvery = 200 * time.Millisecond

// progress tells how far the work is, not too often. If nobody listens any
// more, the work's context says so.
func (s *stream) progress(done, total uint64) {
	if time.Since(s.told) < progressEvery {
		return
	}
	s.told = time.Now()
	if s.line(WorkLine{Progress: &Progress{Done: done, Total: total}}) == nil {
		_ = http.NewResponseController(s.w).Flush()
	}
}

// end answers with an error, if there is one.
func (s *stream) end(err error) {
	switch {
	case err == nil:
	case s.begun:
		_ = s.line(Fault{Error: err.Error()})
	default:
		fault(s.w, statusOf(err), err)
	}
}

// exportPage is how many messages are in memory at once: their bodies may be
// large.
const exportPage = 64

// each calls f with every message of a lane that waits, from a sequence number
// on.
func (a *queueAPI) each(ctx context.Context, lane laneOf, from uint64, f func(gateway.Message) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, err := a.queue.ListOf(lane.store, lane.name, from, exportPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, m := range page {
			if err := f(a.dater.Show(m)); err != nil {
				return err
			}
		}
		from = page[len(page)-1].ID.Seq + 1
	}
}

// export writes what waits in a lane, or in all that are sent.
func (a *queueAPI) export(w http.ResponseWriter, r *http.Request) {
	s := newStream(w)
	query := r.URL.Query()
	from, err := strconv.ParseUint(orZero(query.Get("from")), 10, 64)
	lane := gateway.Lane(query.Get("lane"))
	if err != nil || from > 0 && lane == "" {
		fault(w, http.StatusBadRequest, fmt.Errorf("from: want a sequence number, and a lane: %w", gateway.ErrInvalid))
		return
	}
	lanes := a.lanes(lane)
	if len(lanes) == 0 {
		_, err := a.queue.List(lane, 0, 0)
		s.end(err)
		return
	}
	for _, lane := range lanes {
		err := a.each(r.Context(), lane, from, func(m gateway.Message) error { return s.line(exported(m)) })
		if err != nil {
			s.end(err)
			return
		}
	}
}

// laneOf names a lane, and the store that its messages were accepted by: the
// queue's own or one that it has inherited.
type laneOf struct {
	store string
	name  gateway.Lane
}

// lanes are those of a name, or all that are handed to the upstream.
func (a *queueAPI) lanes(name gateway.Lane) (list []laneOf) {
	for _, l := range a.queue.Stats().Lanes {
		if l.Lane == name || name == "" && l.Lane != gateway.LaneDeadLetter {
			list = append(list, laneOf{l.Store, l.Lane})
		}
	}
	return list
}

func exported(m gateway.Message) ExportedMessage {
	e := ExportedMessage{
		ID: m.ID.String(), Store: m.ID.Store, Lane: m.ID.Lane, Seq: m.ID.Seq,
		Kind: m.Kind, Created: m.Created, Correlation: m.CorrelationID, ContentType: m.ContentType,
	}
	if utf8.Valid(m.Body) && json.Valid(m.Body) {
		e.Body = m.Body
	} else {
		e.BodyBase64 = &m.Body
	}
	return e
}

// verify reads every message that waits.
func (a *queueAPI) verify(w http.ResponseWriter, r *http.Request) {
	s := newStream(w)
	report, err := a.queue.Verify(r.Context(), s.progress)
	if err == nil {
		err = s.line(WorkLine{Verify: &report})
	}
	s.end(err)
}
