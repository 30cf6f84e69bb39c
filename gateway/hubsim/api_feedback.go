package hubsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// feedbackJSON is a record as back ends know it.
type feedbackJSON struct {
	ID         string `json:"originalMessageId"`
	Time       string `json:"enqueuedTimeUtc"`
	Outcome    string `json:"statusCode"`
	Detail     string `json:"description"`
	Device     string `json:"deviceId"`
	Generation string `json:"deviceGenerationId"`
}

// getFeedback gives a back end what has become of commands. The real hub waits
// up to 15 s to fill a batch; this one gives what there is.
func (h *Hub) getFeedback(w http.ResponseWriter, _ *http.Request) error {
	lock, batch, err := h.state.feedbackBatch()
	if err != nil {
		return err
	}
	if len(batch) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	shown := make([]feedbackJSON, len(batch))
	for i, f := range batch {
		shown[i] = feedbackJSON{f.ID, hubTime(f.Time), f.Outcome, f.Outcome, f.Device, f.Generation}
	}
	w.Header().Set("ETag", `"`+lock+`"`)
	w.Header().Set("iothub-enqueuedtime", time.Now().UTC().Format(time.RFC3339Nano))
	w.Header().Set("iothub-userid", h.options.Host)
	w.Header().Set("Content-Type", "application/vnd.microsoft.iothub.feedback.json")
	return json.NewEncoder(w).Encode(shown)
}

func (h *Hub) unlockFeedback(w http.ResponseWriter, r *http.Request) error {
	if err := h.state.unlockFeedback(r.PathValue("lock"), r.Method == http.MethodDelete); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// purgeCommands empties the queue of a device.
func (h *Hub) purgeCommands(w http.ResponseWriter, r *http.Request) error {
	id := identityOf(r)
	n, err := h.state.purge(id)
	if err != nil {
		return err
	}
	h.log.Info("commands purged", "device", id, "count", n)
	return answer(w, map[string]any{"deviceId": id, "moduleId": nil, "totalMessagesPurged": n})
}
