package hubsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxTwinRequest bounds a request about a twin: both of its documents that
// back ends write, and what they are given along with it.
const maxTwinRequest = 512 << 10

func (h *Hub) getTwin(w http.ResponseWriter, r *http.Request) error {
	v, err := h.state.view(identityOf(r))
	if err != nil {
		return err
	}
	return answerTwin(w, v)
}

func answerTwin(w http.ResponseWriter, v view) error {
	w.Header().Set("ETag", `"`+v.twin.tag()+`"`)
	return answer(w, v.twinJSON())
}

// changeTwin merges tags and desired properties into a twin, or, with PUT,
// puts them in the place of those that are there. What the request does not
// name stays; what belongs to the device, or to the hub, is ignored, so that
// a whole twin can be sent back.
func (h *Hub) changeTwin(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, maxTwinRequest)
	if err != nil {
		return err
	}
	c, err := readTwinChange(body)
	if err != nil {
		return invalid("%v", err)
	}
	c.Device, c.Replace = identityOf(r), r.Method == http.MethodPut
	etag, conditional := ifMatch(r)
	v, err := h.state.changeTwin(c, func(t *twin) bool {
		return !conditional || etag == "*" || etag == t.tag()
	})
	if err != nil {
		return err
	}
	h.log.Info("twin changed", "device", c.Device, "tags", c.Tags != nil, "desired", c.Desired != nil, "version", v.twin.Desired.Version)
	return answerTwin(w, v)
}

// readTwinChange reads what back ends send.
func readTwinChange(body []byte) (c twinChange, err error) {
	var request struct {
		Tags       json.RawMessage `json:"tags"`
		Properties struct {
			Desired json.RawMessage `json:"desired"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return c, fmt.Errorf("the body is no twin: %w", err)
	}
	for _, part := range []struct {
		name string
		data json.RawMessage
		into *document
	}{{"tags", request.Tags, &c.Tags}, {"properties.desired", request.Properties.Desired, &c.Desired}} {
		if len(part.data) == 0 || string(part.data) == "null" {
			continue
		}
		if *part.into, err = parseDocument(part.data, "$version", "$metadata"); err != nil {
			return c, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return c, nil
}

// twinJSON is the twin as back ends see it.
func (v view) twinJSON() map[string]any {
	d := toJSON(v)
	tags := v.twin.Tags
	if tags == nil {
		tags = document{}
	}
	device, module, has := strings.Cut(d.DeviceID, "/")
	twin := map[string]any{
		"deviceId": device, "etag": v.twin.tag(), "deviceEtag": d.ETag, "version": v.twin.Version,
		"status": d.Status, "statusReason": d.StatusReason, "statusUpdateTime": hubTime(d.StatusSince),
		"connectionState": d.Connection, "lastActivityTime": hubTime(d.Activity), "cloudToDeviceMessageCount": d.Waiting,
		"authenticationType": d.Authentication.Type, "x509Thumbprint": d.Authentication.Thumbprint,
		"capabilities": d.Capabilities, "tags": tags,
		"properties": map[string]any{"desired": v.twin.Desired.withMetadata(), "reported": v.twin.Reported.withMetadata()},
	}
	if has {
		twin["moduleId"] = module
	}
	return twin
}
