package hubsim

import (
	"encoding/json"
	"net/http"
	"strings"
)

// maxBulk is how many devices one request may change.
const maxBulk = 100

// bulkJSON is one change of a bulk request.
type bulkJSON struct {
	deviceJSON
	ID   string `json:"id"`
	Mode string `json:"importMode"`
}

// bulkError says what went wrong with one device.
type bulkError struct {
	Device string `json:"deviceId"`
	Code   string `json:"errorCode"`
	Status string `json:"errorStatus"`
}

// postDevices makes, changes and deletes many devices. Each change stands for
// itself: the others are made even if one fails.
func (h *Hub) postDevices(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, 1<<20)
	if err != nil {
		return err
	}
	var changes []bulkJSON
	if err := json.Unmarshal(body, &changes); err != nil || len(changes) == 0 || len(changes) > maxBulk {
		return invalid("the body must be a list of 1 to %d devices with id and importMode: %v", maxBulk, err)
	}
	failed := []bulkError{}
	for _, c := range changes {
		if err := h.changeInBulk(c); err != nil {
			e := asHTTP(err)
			failed = append(failed, bulkError{c.ID, e.code, e.detail})
		}
	}
	return answer(w, map[string]any{"isSuccessful": len(failed) == 0, "errors": failed, "warnings": []string{}})
}

func (h *Hub) changeInBulk(c bulkJSON) (err error) {
	c.DeviceID = c.ID
	if isModule(c.ID) {
		return invalid("%.160q is no device", c.ID)
	}
	etag := strings.Trim(c.ETag, `"`)
	switch strings.ToLower(c.Mode) {
	case "create":
		_, err = h.writeDevice(c.deviceJSON, "")
	case "update":
		_, err = h.writeDevice(c.deviceJSON, "*")
	case "updateifmatchetag":
		_, err = h.writeDevice(c.deviceJSON, orNone(etag))
	case "delete":
		err = h.state.remove(c.ID, "*")
	case "deleteifmatchetag":
		err = h.state.remove(c.ID, orNone(etag))
	default:
		err = invalid("importMode %.40q is not simulated", c.Mode)
	}
	return err
}

// orNone keeps an etag that is missing from meaning any.
func orNone(etag string) string {
	if etag == "" {
		return "none"
	}
	return etag
}

// getStatistics counts the devices.
func (h *Hub) getStatistics(w http.ResponseWriter, _ *http.Request) error {
	total, disabled := 0, 0
	for _, v := range h.state.views() {
		total++
		if v.Disabled {
			disabled++
		}
	}
	return answer(w, map[string]int{"totalDeviceCount": total, "enabledDeviceCount": total - disabled, "disabledDeviceCount": disabled})
}
