package hubsim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	defaultPage = 1000
	maxPage     = 100_000
	maxWait     = 60 // seconds
)

// getEvents gives back what has arrived, oldest first: NDJSON up to a limit,
// or, if asked for text/event-stream, server-sent events without end.
//
// after=N begins behind offset N, or now if there are not so many; after=-N
// with the last N. Offsets begin at 1. device=ID leaves out the others. With
// wait=SECONDS, up to 60, NDJSON waits for the first message.
func (h *Hub) getEvents(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	limit, err := readNumber(query.Get("limit"), defaultPage)
	if err != nil || limit < 1 || limit > maxPage {
		return invalid("limit %.20q is not allowed, want 1 to %d", query.Get("limit"), maxPage)
	}
	after, err := h.readAfter(query.Get("after"))
	if err != nil {
		return err
	}
	stream := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if last := r.Header.Get("Last-Event-ID"); stream && last != "" {
		if after, err = h.readAfter(last); err != nil {
			return err
		}
	}
	reader := &eventReader{record: h.record, device: query.Get("device"), after: after, place: h.record.seek(after)}
	if stream {
		return reader.stream(r.Context(), w)
	}
	wait, err := readNumber(query.Get("wait"), 0)
	if err != nil || wait < 0 || wait > maxWait {
		return invalid("wait %.20q is not allowed, want 0 to %d seconds", query.Get("wait"), maxWait)
	}
	ctx, stop := context.WithTimeout(r.Context(), time.Duration(wait)*time.Second)
	defer stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	for {
		n, err := reader.page(w, limit)
		if err != nil || n > 0 || h.record.wait(ctx, reader.place) != nil {
			return brokenOff(err)
		}
	}
}

func readNumber(s string, other int64) (int64, error) {
	if s == "" {
		return other, nil
	}
	return strconv.ParseInt(s, 10, 64)
}

func (h *Hub) readAfter(s string) (int64, error) {
	after, err := readNumber(s, 0)
	if err != nil {
		return 0, invalid("after %.20q is no offset, want a whole number", s)
	}
	newest := h.record.newest()
	if after < 0 {
		after = max(newest+after, 0)
	}
	return min(after, newest), nil // a page that was open when the directory was emptied asks for more
}

// eventReader hands out the messages of one device, or of all for "".
type eventReader struct {
	record *record
	device string
	after  int64 // earlier ones are left out
	place  cursor
}

// wants reports whether a line is to be handed out.
func (e *eventReader) wants(offset int64, line []byte) bool {
	if offset <= e.after || e.device == "" {
		return offset > e.after
	}
	var l struct{ Device string }
	return json.Unmarshal(line, &l) == nil && l.Device == e.device
}

// page writes up to limit messages, and returns how many those were.
func (e *eventReader) page(w io.Writer, limit int64) (n int64, err error) {
	err = e.record.read(&e.place, func(offset int64, line []byte) (bool, error) {
		if !e.wants(offset, line) {
			return true, nil
		}
		n++
		_, err := w.Write(line)
		return n < limit, err
	})
	return n, err
}

// stream follows the record until ctx ends. Each event has the offset as its
// id, so that a client that comes back goes on where it was.
func (e *eventReader) stream(ctx context.Context, w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	for {
		err := e.record.read(&e.place, func(offset int64, line []byte) (bool, error) {
			if !e.wants(offset, line) {
				return ctx.Err() == nil, nil
			}
			_, err := w.Write(appendServerSent(nil, offset, line))
			return true, err
		})
		err = errors.Join(err, out.Flush()) // also the header, if there was nothing yet
		if err != nil || e.record.wait(ctx, e.place) != nil {
			return brokenOff(err)
		}
	}
}

func appendServerSent(dst []byte, offset int64, line []byte) []byte {
	dst = strconv.AppendInt(append(dst, "id: "...), offset, 10)
	dst = append(append(dst, "\ndata: "...), line...)
	return append(dst, '\n')
}

// brokenOff ends a response that has begun: no error can be answered any
// more, so the client must see that it is not whole.
func brokenOff(err error) error {
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's word for it
	}
	return nil
}
