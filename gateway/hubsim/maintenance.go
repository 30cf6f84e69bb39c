package hubsim

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// maintenance is a time in which the hub is away: connections are cut, new
// ones are closed before TLS begins, and back ends get 503. The routes under
// /hubsim/ go on.
type maintenance struct {
	end atomic.Int64 // in nanoseconds since 1970
}

// maxMaintenance bounds it: a hub that is forgotten in it comes back.
const maxMaintenance = time.Hour

func (m *maintenance) begin(d time.Duration) { m.end.Store(time.Now().Add(d).UnixNano()) }

func (m *maintenance) over() { m.end.Store(0) }

func (m *maintenance) on() bool {
	end := m.end.Load()
	return end != 0 && time.Now().UnixNano() < end
}

// exceptInMaintenance lets requests through while there is no maintenance.
func (h *Hub) exceptInMaintenance(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.maintenance.on() && r.URL.Path != "/" && !strings.HasPrefix(r.URL.Path, "/hubsim/") {
			h.answerError(w, r, &httpError{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", detail: "the hub is under maintenance"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// postMaintenance takes the hub away: ?seconds=N.
func (h *Hub) postMaintenance(w http.ResponseWriter, r *http.Request) error {
	n, err := readNumber(r.URL.Query().Get("seconds"), 60)
	if err != nil || n < 1 || n > int64(maxMaintenance/time.Second) {
		return invalid("seconds %.20q is not allowed, want 1 to %d", r.URL.Query().Get("seconds"), maxMaintenance/time.Second)
	}
	h.maintenance.begin(time.Duration(n) * time.Second)
	h.log.Warn("maintenance begins", "seconds", n)
	for _, c := range h.state.connections() {
		c.stop("maintenance")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Hub) deleteMaintenance(w http.ResponseWriter, _ *http.Request) error {
	h.maintenance.over()
	h.log.Info("maintenance is over")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
