package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/dating"
	"github.com/fieldpost/fieldpost/storeforward"
)

// queueAPI is the part of the local API that needs the queue alone.
type queueAPI struct {
	queue *storeforward.Queue
	dater *dating.Dater // messages are shown as they would be sent now
	log   *slog.Logger
}

// QueueHandler serves the part of the local API that needs the queue alone: the
// tools can so work on the queue of a gateway that does not run.
func QueueHandler(q *storeforward.Queue, dataDir string, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	starts := dating.ReadStarts(dating.Options{Memory: newBootMemory(dataDir, log), Log: log})
	(&queueAPI{queue: q, dater: dating.NewDater(starts), log: log}).register(mux)
	return mux
}

func (a *queueAPI) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/queue", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.queue.Stats()) })
	mux.HandleFunc("GET /v1/queue/messages", a.messages)
	mux.HandleFunc("GET /v1/queue/export", a.export)
	mux.HandleFunc("GET /v1/queue/verify", a.verify)
	mux.HandleFunc("GET /v1/queue/holdings", a.holdings)
	mux.HandleFunc("POST /v1/queue/purge", a.purge)
	mux.HandleFunc("GET /v1/commands", a.commands)
	mux.HandleFunc("GET /v1/command", a.command)
	mux.HandleFunc("POST /v1/deadletters/retry", a.retry)
	mux.HandleFunc("POST /v1/deadletters/delete", a.discard)
}

// maxListed bounds one answer of /v1/queue/messages.
const maxListed = 1000

func (a *queueAPI) messages(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	from, err1 := strconv.ParseUint(orZero(query.Get("from")), 10, 64)
	limit, err2 := strconv.Atoi(orZero(query.Get("limit")))
	if err := errors.Join(err1, err2); err != nil || limit < 1 || limit > maxListed {
		fault(w, http.StatusBadRequest, fmt.Errorf("from and limit: want numbers, limit from 1 to %d", maxListed))
		return
	}
	list, err := a.queue.List(gateway.Lane(query.Get("lane")), from, limit)
	if err != nil {
		fault(w, statusOf(err), err)
		return
	}
	views := make([]QueuedMessage, 0, len(list))
	for _, m := range list {
		m = a.dater.Show(m)
		v := QueuedMessage{
			ID: m.ID.String(), Kind: m.Kind, Created: m.Created, Correlation: m.CorrelationID,
			ContentType: m.ContentType, Size: len(m.Body), Body: string(m.Body),
		}
		if !utf8.Valid(m.Body) {
			v.Body = fmt.Sprintf("%x", m.Body)
		}
		views = append(views, v)
	}
	answer(w, views)
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

// purge gives up what waits in a lane.
func (a *queueAPI) purge(w http.ResponseWriter, r *http.Request) {
	var req PurgeRequest
	if !decode(w, r, "purge", &req) {
		return
	}
	given, err := a.queue.Purge(r.Context(), req.Lane)
	if err != nil {
		fault(w, statusOf(err), err)
		return
	}
	a.log.Warn("lane purged by hand", "lane", req.Lane, "messages", given)
	answer(w, Purged{Messages: given})
}

// letters reads the ids of a request. There are not many, since they share a
// transaction.
func (a *queueAPI) letters(w http.ResponseWriter, r *http.Request) (ids []gateway.MessageID, ok bool) {
	var req LettersRequest
	if !decode(w, r, "dead letters", &req) {
		return nil, false
	}
	if len(req.IDs) < 1 || len(req.IDs) > MaxLetters {
		fault(w, http.StatusBadRequest, fmt.Errorf("ids: want 1 to %d of them", MaxLetters))
		return nil, false
	}
	for _, text := range req.IDs {
		id, err := gateway.ParseMessageID(text)
		if err != nil {
			fault(w, http.StatusBadRequest, err)
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// retry answers for each dead letter by itself: one that cannot be sent again
// does not keep the others.
func (a *queueAPI) retry(w http.ResponseWriter, r *http.Request) {
	ids, ok := a.letters(w, r)
	if !ok {
		return
	}
	results := make([]Retried, 0, len(ids))
	for _, id := range ids {
		result := Retried{ID: id.String()}
		if fresh, err := a.queue.Retry(r.Context(), id); err != nil {
			result.Error = err.Error()
		} else {
			result.NewID = fresh.String()
		}
		results = append(results, result)
	}
	a.log.Info("dead letters tried again by hand", "letters", len(ids))
	answer(w, results)
}

// discard removes all the dead letters that it is given, or none.
func (a *queueAPI) discard(w http.ResponseWriter, r *http.Request) {
	ids, ok := a.letters(w, r)
	if !ok {
		return
	}
	if err := a.queue.Discard(r.Context(), ids...); err != nil {
		fault(w, statusOf(err), err)
		return
	}
	a.log.Warn("dead letters deleted by hand", "letters", len(ids))
	answer(w, Deleted{Letters: len(ids)})
}

// decode reads the body of a request; if it cannot, it answers so.
func decode(w http.ResponseWriter, r *http.Request, what string, v any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		fault(w, http.StatusBadRequest, fmt.Errorf("%s: %w", what, err))
		return false
	}
	return true
}
