package hubsim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// deviceJSON is a device as service SDKs know it.
type deviceJSON struct {
	DeviceID       string             `json:"deviceId"`
	GenerationID   string             `json:"generationId"`
	ETag           string             `json:"etag"`
	Connection     string             `json:"connectionState"`
	Status         string             `json:"status"`
	StatusReason   *string            `json:"statusReason"`
	ConnectedSince time.Time          `json:"connectionStateUpdatedTime"`
	StatusSince    time.Time          `json:"statusUpdatedTime"`
	Activity       time.Time          `json:"lastActivityTime"`
	Waiting        int                `json:"cloudToDeviceMessageCount"`
	Authentication authenticationJSON `json:"authentication"`
	Capabilities   struct {
		Edge bool `json:"iotEdge"`
	} `json:"capabilities"`
}

type authenticationJSON struct {
	SymmetricKey struct {
		Primary   string `json:"primaryKey"`
		Secondary string `json:"secondaryKey"`
	} `json:"symmetricKey"`
	Thumbprint struct {
		Primary   *string `json:"primaryThumbprint"`
		Secondary *string `json:"secondaryThumbprint"`
	} `json:"x509Thumbprint"`
	Type string `json:"type"`
}

func toJSON(v view) deviceJSON {
	d := deviceJSON{
		DeviceID: v.ID, GenerationID: v.GenerationID, ETag: v.ETag,
		Connection: "Disconnected", Status: "enabled",
		ConnectedSince: v.changed.UTC(), StatusSince: v.StatusSince, Activity: v.activity.UTC(), Waiting: v.waiting,
	}
	if v.connected {
		d.Connection = "Connected"
	}
	if v.Disabled {
		d.Status = "disabled"
	}
	if v.StatusReason != "" {
		d.StatusReason = &v.StatusReason
	}
	d.Authentication.SymmetricKey.Primary, d.Authentication.SymmetricKey.Secondary = v.Primary, v.Secondary
	d.Authentication.Type = "sas"
	return d
}

func (h *Hub) listDevices(w http.ResponseWriter, _ *http.Request) error {
	list := []deviceJSON{}
	for _, v := range h.state.views() {
		list = append(list, toJSON(v))
	}
	return answer(w, list)
}

func (h *Hub) getDevice(w http.ResponseWriter, r *http.Request) error {
	v, err := h.state.view(r.PathValue("id"))
	if err != nil {
		return err
	}
	return answerDevice(w, v)
}

func answerDevice(w http.ResponseWriter, v view) error {
	w.Header().Set("ETag", `"`+v.ETag+`"`)
	return answer(w, toJSON(v))
}

// putDevice creates a device, or with If-Match updates it.
func (h *Hub) putDevice(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	d, err := readDevice(w, r, id)
	if err != nil {
		return err
	}
	keys := d.Authentication.SymmetricKey
	edit := func(i *identity) {
		i.Primary, i.Secondary = keys.Primary, keys.Secondary
		i.Disabled = d.Status == "disabled"
		i.StatusReason = ""
		if d.StatusReason != nil {
			i.StatusReason = *d.StatusReason
		}
	}
	var v view
	if etag, ok := ifMatch(r); ok {
		v, err = h.state.update(id, etag, edit)
	} else {
		i, fault := newIdentity(id, keys.Primary, keys.Secondary)
		if fault != nil {
			return invalid("%v", fault)
		}
		keys.Primary, keys.Secondary = i.Primary, i.Secondary
		edit(&i)
		v, err = h.state.createAs(i)
	}
	if err != nil {
		return err
	}
	h.log.Info("device written", "device", id, "status", d.Status)
	return answerDevice(w, v)
}

func readDevice(w http.ResponseWriter, r *http.Request, id string) (d deviceJSON, err error) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&d); err != nil {
		return d, invalid("the body is no device: %v", err)
	}
	if d.Status == "" {
		d.Status = "enabled"
	}
	keys := d.Authentication.SymmetricKey
	switch t := d.Authentication.Type; {
	case d.DeviceID != id:
		return d, invalid("deviceId %.80q and the path (%.80q) must be the same", d.DeviceID, id)
	case d.Status != "enabled" && d.Status != "disabled":
		return d, invalid("status %.20q is not allowed, want enabled or disabled", d.Status)
	case t != "" && t != "sas":
		return d, invalid("authentication type %.20q is not simulated, want sas", t)
	case keys.Primary != "" && !validKey(keys.Primary), keys.Secondary != "" && !validKey(keys.Secondary):
		return d, invalid("a symmetric key is base64 of 16 to 64 bytes; an empty one is made")
	}
	return d, nil
}

// ifMatch is the version in a header like If-Match: "*".
func ifMatch(r *http.Request) (etag string, ok bool) {
	etag = strings.Trim(r.Header.Get("If-Match"), `"`)
	return etag, etag != ""
}

func (h *Hub) deleteDevice(w http.ResponseWriter, r *http.Request) error {
	etag, ok := ifMatch(r)
	if !ok {
		etag = "*"
	}
	if err := h.state.remove(r.PathValue("id"), etag); err != nil {
		return err
	}
	h.log.Info("device deleted", "device", r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
