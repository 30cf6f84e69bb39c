package hubsim

import (
	"net/http"
	"strings"
	"time"
)

// moduleJSON is a module as service SDKs know it.
type moduleJSON struct {
	DeviceID       string             `json:"deviceId"`
	ModuleID       string             `json:"moduleId"`
	ManagedBy      *string            `json:"managedBy"`
	GenerationID   string             `json:"generationId"`
	ETag           string             `json:"etag"`
	Connection     string             `json:"connectionState"`
	ConnectedSince time.Time          `json:"connectionStateUpdatedTime"`
	Activity       time.Time          `json:"lastActivityTime"`
	Waiting        int                `json:"cloudToDeviceMessageCount"`
	Authentication authenticationJSON `json:"authentication"`
}

func toModuleJSON(v view) moduleJSON {
	d := toJSON(v)
	device, module, _ := strings.Cut(v.ID, "/")
	return moduleJSON{
		DeviceID: device, ModuleID: module, GenerationID: d.GenerationID, ETag: d.ETag, Connection: d.Connection,
		ConnectedSince: d.ConnectedSince, Activity: d.Activity, Authentication: d.Authentication,
	}
}

func answerModule(w http.ResponseWriter, v view) error {
	w.Header().Set("ETag", `"`+v.ETag+`"`)
	return answer(w, toModuleJSON(v))
}

func (h *Hub) listModules(w http.ResponseWriter, r *http.Request) error {
	views, err := h.state.modules(r.PathValue("id"))
	if err != nil {
		return err
	}
	list := []moduleJSON{}
	for _, v := range views {
		list = append(list, toModuleJSON(v))
	}
	return answer(w, list)
}

func (h *Hub) getModule(w http.ResponseWriter, r *http.Request) error {
	v, err := h.state.view(identityOf(r))
	if err != nil {
		return err
	}
	return answerModule(w, v)
}

// putModule creates a module, or with If-Match updates it.
func (h *Hub) putModule(w http.ResponseWriter, r *http.Request) error {
	var m moduleJSON
	if err := readJSON(w, r, &m); err != nil {
		return err
	}
	id := identityOf(r)
	if m.DeviceID+"/"+m.ModuleID != id {
		return invalid("deviceId %.80q, moduleId %.80q and the path (%.160q) must be the same", m.DeviceID, m.ModuleID, id)
	}
	fresh, err := newIdentity(id, m.Authentication.credential())
	if err != nil {
		return invalid("%v", err)
	}
	var v view
	if etag, ok := ifMatch(r); ok {
		v, err = h.state.update(id, etag, func(i *identity) { i.credential = fresh.credential })
	} else {
		v, err = h.state.createAs(fresh)
	}
	if err != nil {
		return err
	}
	h.log.Info("module written", "device", id)
	return answerModule(w, v)
}
