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
		mux.Handle(pattern, h.guard(want, versioned(handle)))
	}
	azure("POST /devices/{id}/messages/devicebound", serviceConnect, h.postCommand)
	azure("GET /devices/{$}", registryRead, h.listDevices)
	azure("GET /devices", registryRead, h.listDevices)
	azure("POST /devices", registryWrite, h.postDevices)
	azure("GET /statistics/devices", registryRead, h.getStatistics)
	azure("GET /devices/{id}", registryRead, h.getDevice)
	azure("PUT /devices/{id}", registryWrite, h.putDevice)
	azure("DELETE /devices/{id}", registryWrite, h.deleteDevice)
	azure("DELETE /devices/{id}/commands", serviceConnect, h.purgeCommands)
	for _, path := range []string{"/messages/serviceBound/feedback", "/messages/servicebound/feedback"} { // clients write both
		azure("GET "+path, serviceConnect, h.getFeedback)
		azure("DELETE "+path+"/{lock}", serviceConnect, h.unlockFeedback)
		azure("POST "+path+"/{lock}/abandon", serviceConnect, h.unlockFeedback)
	}
	for _, path := range []string{"/twins/{id}", "/twins/{id}/modules/{module}"} {
		azure("POST "+path+"/methods", serviceConnect, h.postMethod)
		azure("GET "+path, serviceConnect, h.getTwin)
		azure("PATCH "+path, serviceConnect, h.changeTwin)
		azure("PUT "+path, serviceConnect, h.changeTwin)
	}
	azure("GET /devices/{id}/modules", registryRead, h.listModules)
	azure("GET /devices/{id}/modules/{module}", registryRead, h.getModule)
	azure("PUT /devices/{id}/modules/{module}", registryWrite, h.putModule)
	azure("DELETE /devices/{id}/modules/{module}", registryWrite, h.deleteDevice)
	azure("POST /devices/query", serviceConnect, h.postQuery)
	azure("GET /enrollments/{id}", registryRead, h.getEnrollment)
	azure("PUT /enrollments/{id}", registryWrite, h.putEnrollment)
	azure("DELETE /enrollments/{id}", registryWrite, h.deleteEnrollment)

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
	own("POST /hubsim/devices/{id}/expire-token", h.postExpireToken)
	own("POST /hubsim/maintenance", h.postMaintenance)
	own("DELETE /hubsim/maintenance", h.deleteMaintenance)
	h.uploadRoutes(mux)
	mux.HandleFunc("GET /$iothub/websocket", h.webSocket) // the MQTT in it has its own login
	// Pages of other sites must not act through the browser of somebody who
	// may act without a token.
	return http.NewCrossOriginProtection().Handler(h.exceptInMaintenance(mux))
}

// versioned refuses requests that do not say which version of the API they
// mean.
func versioned(handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Query().Get("api-version") == "" {
			return &httpError{status: http.StatusBadRequest, code: "InvalidApiVersion", detail: "api-version is missing in the query, for example ?api-version=2021-04-12"}
		}
		if isModule(r.PathValue("id")) { // a slash that was percent-encoded
			return errNoDevice
		}
		return handle(w, r)
	}
}

// guard lets callers of the service with a right in.
func (h *Hub) guard(want right, handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	return h.guardBy(func(r *http.Request) error { return h.allow(r, want) }, handle)
}

// guardBy checks the right to call, waits for the handler at Close and answers
// its error.
func (h *Hub) guardBy(allow func(*http.Request) error, handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.enter() {
			return
		}
		defer h.running.Done()
		err := allow(r)
		if err != nil {
			h.log.Warn("request refused: "+err.Error(), "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr)
			err = &httpError{status: http.StatusUnauthorized, code: "IotHubUnauthorizedAccess", detail: err.Error()}
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
	// info is set for those routes whose errors have the second shape: JSON in
	// the message.
	info map[string]any
}

func (e *httpError) Error() string { return e.code + ": " + e.detail }

// asHTTP finds the answer for an error.
func asHTTP(err error) *httpError {
	var e *httpError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, errNoDevice):
		return &httpError{status: http.StatusNotFound, code: "DeviceNotFound", detail: err.Error()}
	case errors.Is(err, errNoEnrollment):
		return &httpError{status: http.StatusNotFound, code: "EnrollmentNotFound", detail: err.Error()}
	case errors.Is(err, errEnrollmentExists):
		return &httpError{status: http.StatusConflict, code: "EnrollmentAlreadyExists", detail: err.Error()}
	case errors.Is(err, errDeviceExists):
		return &httpError{status: http.StatusConflict, code: "DeviceAlreadyExists", detail: err.Error()}
	case errors.Is(err, errETag), errors.Is(err, errNoLock):
		return &httpError{status: http.StatusPreconditionFailed, code: "PreconditionFailed", detail: err.Error()}
	case errors.Is(err, errDocument):
		return invalid("%v", err)
	case errors.Is(err, errModules):
		return &httpError{status: http.StatusForbidden, code: "TooManyModulesOnDevice", detail: err.Error()}
	case errors.Is(err, errQueueFull):
		return &httpError{status: http.StatusForbidden, code: "DeviceMaximumQueueDepthExceeded", detail: err.Error()}
	default:
		return &httpError{status: http.StatusInternalServerError, code: "ServerError", detail: err.Error()}
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
	_ = json.NewEncoder(w).Encode(e.body()) // the client may be gone
}

// body is one of the two shapes in which the hub writes errors.
func (e *httpError) body() map[string]string {
	if e.info == nil {
		return map[string]string{"Message": "ErrorCode:" + e.code + ";" + e.detail, "ExceptionMessage": "Tracking ID:" + trackingID()}
	}
	text, _ := json.Marshal(e.numbered()) // cannot fail
	return map[string]string{"Message": string(text), "ExceptionMessage": ""}
}

// numbers are the hub's numbers for errors that reach devices, too.
var numbers = map[string]int{
	"ArgumentInvalid": 400004, "DeviceNotFound": 404001, "DeviceNotOnline": 404103, "IotHubQuotaExceeded": 403002, "ServiceUnavailable": 503003,
	"PreconditionFailed":  412001,
	"ThrottlingException": 429001, "ServerError": 500001, "GatewayTimeout": 504101,
}

func (e *httpError) numbered() numbered {
	return numbered{numbers[e.code], trackingID(), e.detail, e.info, time.Now().UTC()}
}

// numbered is an error with the hub's number for it. Devices get it as it is,
// back ends inside a message.
type numbered struct {
	Code     int            `json:"errorCode"`
	Tracking string         `json:"trackingId"`
	Message  string         `json:"message"`
	Info     map[string]any `json:"info,omitempty"`
	Time     time.Time      `json:"timestampUtc"`
}

func trackingID() string {
	return fmt.Sprintf("%s-G:0-TimeStamp:%s", randomHex(16), time.Now().UTC().Format("01/02/2006 15:04:05"))
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, value any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return json.NewEncoder(w).Encode(value)
}

func invalid(format string, args ...any) *httpError {
	return &httpError{status: http.StatusBadRequest, code: "ArgumentInvalid", detail: fmt.Sprintf(format, args...)}
}
