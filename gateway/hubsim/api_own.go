package hubsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// overview is a device as the page shows it.
type overview struct {
	ID        string    `json:"id"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	Waiting   int       `json:"waiting"`
}

func (h *Hub) getOverview(w http.ResponseWriter, _ *http.Request) error {
	list := []overview{}
	for _, v := range h.state.viewsOf(func(string) bool { return true }) {
		list = append(list, overview{ID: v.ID, Connected: v.connected, Since: v.changed.UTC(), Waiting: v.waiting})
	}
	return answer(w, list)
}

func (h *Hub) getAudit(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, h.audit.rows())
}

// getCommands lists the cloud-to-device messages of a device, or of all.
func (h *Hub) getCommands(w http.ResponseWriter, r *http.Request) error {
	list, err := h.state.commands(r.URL.Query().Get("device"))
	if err != nil {
		return err
	}
	for i := range list {
		list[i].Body = nil // the sender knows it
	}
	return answer(w, list)
}

func (h *Hub) getFaults(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, h.faults.left())
}

func (h *Hub) postFault(w http.ResponseWriter, r *http.Request) error {
	var f fault
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	body.DisallowUnknownFields()
	if err := body.Decode(&f); err != nil {
		return invalid(`the body is no fault: %v; want for example {"kind":"drop-puback","count":10}`, err)
	}
	if err := f.complete(); err != nil {
		return invalid("%v", err)
	}
	h.faults.add(f)
	h.log.Info("fault asked for", "kind", f.Kind, "count", f.Count, "device", f.Device)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Hub) deleteFaults(w http.ResponseWriter, _ *http.Request) error {
	h.faults.clear()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// postDisconnect cuts the connection of a device.
func (h *Hub) postDisconnect(w http.ResponseWriter, r *http.Request) error {
	c, err := h.online(r)
	if err != nil {
		return err
	}
	c.stop("asked for by a caller")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// postExpireToken ends the token with which a device has signed in: the
// connection is cut, and the same token is not taken again.
func (h *Hub) postExpireToken(w http.ResponseWriter, r *http.Request) error {
	c, err := h.online(r)
	if err != nil {
		return err
	}
	if len(c.token) == 0 {
		return invalid("the device has signed in with a certificate")
	}
	h.state.revoke(c.device, c.token)
	c.stop("the token of the device has ended, as a caller wished")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// online is the connection of the device in the path.
func (h *Hub) online(r *http.Request) (*conn, error) {
	c, err := h.state.connection(identityOf(r))
	if err == nil && c == nil {
		err = &httpError{status: http.StatusNotFound, code: "DeviceNotOnline", detail: "the device is not connected"}
	}
	return c, err
}
