package hubsim

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// postMethod calls a direct method and waits for the answer of the device.
func (h *Hub) postMethod(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, maxMethodBytes+4<<10)
	if err != nil {
		return err
	}
	m, err := readMethod(body)
	if err != nil {
		return invalid("%v", err)
	}
	id := identityOf(r)
	if err := h.checkQuota(id, len(m.Payload)); err != nil {
		return err
	}
	a, err := h.invoke(r.Context(), id, m)
	h.log.Info("method called", "device", id, "method", m.Name, "status", a.Status, "error", err)
	switch {
	case errors.Is(err, errNotOnline):
		return &httpError{
			status: http.StatusNotFound, code: "DeviceNotOnline", detail: err.Error(),
			info: map[string]any{"timeout": clockFace(seconds(m.ConnectTimeout))},
		}
	case errors.Is(err, errUnanswered):
		return &httpError{
			status: http.StatusGatewayTimeout, code: "GatewayTimeout", detail: err.Error(),
			info: map[string]any{"timeout": clockFace(seconds(m.ResponseTimeout))},
		}
	case errors.Is(err, errBadAnswer):
		return &httpError{status: http.StatusBadGateway, code: "BadDeviceResponse", detail: err.Error()}
	case err != nil:
		return err
	}
	return answer(w, a)
}

// identityOf is the device, or module, in the path of a request.
func identityOf(r *http.Request) string {
	if module := r.PathValue("module"); module != "" {
		return r.PathValue("id") + "/" + module
	}
	return r.PathValue("id")
}

// clockFace writes a time as the hub does in its errors: 00:00:30.
func clockFace(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// readBody reads a request of up to limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &httpError{status: http.StatusRequestEntityTooLarge, code: "MessageTooLarge", detail: fmt.Sprintf("a body of more than %d bytes", limit)}
	}
	return body, err
}
