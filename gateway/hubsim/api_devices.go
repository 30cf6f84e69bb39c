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
		Primary   orNull `json:"primaryKey"`
		Secondary orNull `json:"secondaryKey"`
	} `json:"symmetricKey"`
	Thumbprint struct {
		Primary   orNull `json:"primaryThumbprint"`
		Secondary orNull `json:"secondaryThumbprint"`
	} `json:"x509Thumbprint"`
	Type string `json:"type"`
}

// orNull is a string that is null in JSON if it is empty.
type orNull string

// MarshalJSON writes the string, or null.
func (s orNull) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

// authentication is a credential as back ends see it.
func (c credential) authentication() (a authenticationJSON) {
	a.Type = c.Auth
	switch c.Auth {
	case authSAS:
		a.SymmetricKey.Primary, a.SymmetricKey.Secondary = orNull(c.Primary), orNull(c.Secondary)
	case authThumbprint:
		a.Thumbprint.Primary, a.Thumbprint.Secondary = orNull(c.Primary), orNull(c.Secondary)
	}
	return a
}

// credential is what a back end asks for. Without a type, thumbprints decide.
func (a authenticationJSON) credential() credential {
	if a.Type == "" {
		a.Type = authSAS
		if a.Thumbprint.Primary != "" || a.Thumbprint.Secondary != "" {
			a.Type = authThumbprint
		}
	}
	if a.Type == authThumbprint {
		return credential{a.Type, string(a.Thumbprint.Primary), string(a.Thumbprint.Secondary)}
	}
	return credential{a.Type, string(a.SymmetricKey.Primary), string(a.SymmetricKey.Secondary)}
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
	d.Authentication = v.authentication()
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
	body, err := readBody(w, r, 64<<10)
	if err != nil {
		return err
	}
	var d deviceJSON
	if err := json.Unmarshal(body, &d); err != nil {
		return invalid("the body is no device: %v", err)
	}
	if id := r.PathValue("id"); d.DeviceID != id {
		return invalid("deviceId %.80q and the path (%.80q) must be the same", d.DeviceID, id)
	}
	etag, _ := ifMatch(r)
	v, err := h.writeDevice(d, etag)
	if err != nil {
		return err
	}
	return answerDevice(w, v)
}

// writeDevice creates a device, or with an etag updates it.
func (h *Hub) writeDevice(d deviceJSON, etag string) (v view, err error) {
	if d.Status != "" && d.Status != "enabled" && d.Status != "disabled" {
		return v, invalid("status %.20q is not allowed, want enabled or disabled", d.Status)
	}
	fresh, err := newIdentity(d.DeviceID, d.Authentication.credential())
	if err != nil {
		return v, invalid("%v", err)
	}
	edit := func(i *identity) {
		i.credential = fresh.credential
		i.Disabled = d.Status == "disabled"
		i.StatusReason = ""
		if d.StatusReason != nil {
			i.StatusReason = *d.StatusReason
		}
	}
	if etag == "" {
		edit(&fresh)
		v, err = h.state.createAs(fresh)
	} else {
		v, err = h.state.update(d.DeviceID, etag, edit)
	}
	if err == nil {
		h.log.Info("device written", "device", d.DeviceID, "disabled", v.Disabled)
	}
	return v, err
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
	id := identityOf(r)
	if err := h.state.remove(id, etag); err != nil {
		return err
	}
	h.log.Info("device deleted", "device", id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
