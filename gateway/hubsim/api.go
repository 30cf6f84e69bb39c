package hubsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// routes is the HTTPS side: what back ends use of IoT Hub, and, under
// /hubsim/, what the real one does not have.
func (h *Hub) routes() http.Handler {
	mux := http.NewServeMux()
	// Those of IoT Hub want an api-version.
	azure := func(pattern string, want right, handle func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, h.guard(want, func(w http.ResponseWriter, r *http.Request) error {
			if r.URL.Query().Get("api-version") == "" {
				return &httpError{http.StatusBadRequest, "InvalidApiVersion", "api-version is missing in the query, for example ?api-version=2021-04-12"}
			}
			return handle(w, r)
		}))
	}
	azure("POST /devices/{id}/messages/devicebound", serviceConnect, h.postCommand)
	azure("GET /devices/{$}", registryRead, h.listDevices)
	azure("GET /devices", registryRead, h.listDevices)
	azure("GET /devices/{id}", registryRead, h.getDevice)
	azure("PUT /devices/{id}", registryWrite, h.putDevice)
	azure("DELETE /devices/{id}", registryWrite, h.deleteDevice)

	own := func(pattern string, handle func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, h.guard(serviceConnect, handle))
	}
	own("GET /{$}", getPage)
	own("GET /hubsim/devices", h.getOverview)
	own("GET /hubsim/events", h.getEvents)
	own("GET /hubsim/audit", h.getAudit)
	own("GET /hubsim/commands", h.getCommands)
	own("GET /hubsim/faults", h.getFaults)
	own("POST /hubsim/faults", h.postFault)
	own("DELETE /hubsim/faults", h.deleteFaults)
	own("POST /hubsim/devices/{id}/disconnect", h.postDisconnect)
	mux.HandleFunc("GET /$iothub/websocket", h.webSocket) // the MQTT in it has its own login
	// Pages of other sites must not act through the browser of somebody who
	// may act without a token.
	return http.NewCrossOriginProtection().Handler(mux)
}

// guard checks the right to call, waits for the handler at Close and answers
// its error.
func (h *Hub) guard(want right, handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.enter() {
			return
		}
		defer h.running.Done()
		err := h.allow(r, want)
		if err != nil {
			h.log.Warn("request refused: "+err.Error(), "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr)
			err = &httpError{http.StatusUnauthorized, "IotHubUnauthorizedAccess", err.Error()}
		} else {
			err = handle(w, r)
		}
		if err != nil {
			h.answerError(w, r, err)
		}
	})
}

// httpError is an answer that is no success, with the hub's code for it.
type httpError struct {
	status int
	code   string
	detail string
}

func (e *httpError) Error() string { return e.code + ": " + e.detail }

// asHTTP finds the answer for an error.
func asHTTP(err error) *httpError {
	var e *httpError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, errNoDevice):
		return &httpError{http.StatusNotFound, "DeviceNotFound", err.Error()}
	case errors.Is(err, errDeviceExists):
		return &httpError{http.StatusConflict, "DeviceAlreadyExists", err.Error()}
	case errors.Is(err, errETag):
		return &httpError{http.StatusPreconditionFailed, "PreconditionFailed", err.Error()}
	case errors.Is(err, errQueueFull):
		return &httpError{http.StatusForbidden, "DeviceMaximumQueueDepthExceeded", err.Error()}
	default:
		return &httpError{http.StatusInternalServerError, "ServerError", err.Error()}
	}
}

// answerError writes the shape of error that service SDKs read.
func (h *Hub) answerError(w http.ResponseWriter, r *http.Request, err error) {
	e := asHTTP(err)
	if e.status == http.StatusInternalServerError {
		h.log.Error("a request has failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("iothub-errorcode", e.code)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]string{ // the client may be gone
		"Message": "ErrorCode:" + e.code + ";" + e.detail,
		"ExceptionMessage": fmt.Sprintf("Tracking ID:%s-G:0-TimeStamp:%s",
			randomHex(16), time.Now().UTC().Format("01/02/2006 15:04:05")),
	})
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, value any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return json.NewEncoder(w).Encode(value)
}

func invalid(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, "ArgumentInvalid", fmt.Sprintf(format, args...)}
}
