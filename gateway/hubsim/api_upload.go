package hubsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The routes of file upload.
//
// Source: Microsoft, "Upload files with IoT Hub" (developer guide), and the
// requests of the Node SDK for devices.

// defaultUploadTTL is the life of the token for one upload.
const defaultUploadTTL = time.Hour

// The faults of file upload.
const (
	faultUpload       = "fail-upload"         // the beginning is answered with Code
	faultNotification = "fail-notification"   // the report is answered with Code
	faultBlock        = "fail-block"          // the storage answers with Code
	faultHangBlock    = "hang-block"          // the storage never answers
	faultCutBlock     = "cut-block"           // the storage takes half of the body and cuts the connection
	faultExpireUpload = "expire-upload-token" // the storage takes the token for one that has expired
)

var (
	httpFaults    = []string{faultUpload, faultNotification, faultBlock} // have an HTTP status as Code
	storageFaults = []string{faultHangBlock, faultCutBlock, faultExpireUpload}
)

// uploadRoutes adds what devices and back ends use of file upload.
func (h *Hub) uploadRoutes(mux *http.ServeMux) {
	azure := func(pattern string, handle func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, h.guard(serviceConnect, versioned(handle)))
	}
	device := func(pattern string, handle func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, h.guardBy(h.allowDevice, versioned(handle)))
	}
	device("POST /devices/{id}/files", h.postFile)
	device("POST /devices/{id}/files/notifications", h.postFileNotification)
	device("POST /devices/{id}/files/notifications/{correlation}", h.postFileNotification)
	// Clients write both.
	for _, path := range []string{"/messages/serviceBound/filenotifications", "/messages/servicebound/filenotifications"} {
		azure("GET "+path, h.getFileNotification)
		azure("DELETE "+path+"/{lock}", h.unlockFileNotification)
		azure("POST "+path+"/{lock}/abandon", h.unlockFileNotification)
	}
	mux.Handle("GET /hubsim/uploads", h.guard(serviceConnect, h.getUploads))
	mux.Handle("GET /hubsim/blobs/{blob...}", h.guard(serviceConnect, h.getOwnBlob))
	mux.Handle("/"+container+"/{blob...}", http.HandlerFunc(h.serveBlob))
}

// allowDevice checks that the request is of the device in its path. Unlike
// back ends, devices need their token, or certificate, from this machine, too.
func (h *Hub) allowDevice(r *http.Request) error {
	id, ok := h.state.identity(r.PathValue("id"))
	if !ok {
		return errNoDevice
	}
	_, err := h.prove(id, r.Header.Get("Authorization"), certificatesOf(r))
	return err
}

// postFile begins an upload.
func (h *Hub) postFile(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := h.failAs(id, faultUpload); err != nil {
		return err
	}
	var asked struct {
		BlobName string `json:"blobName"`
	}
	if err := readJSON(w, r, &asked); err != nil {
		return err
	}
	if !blobNameForm(asked.BlobName) {
		return invalid("blobName %.80q: want 1 to 1024 characters of printable text, in segments that are neither empty nor end in a dot", asked.BlobName)
	}
	u, err := h.uploads.begin(id, id+"/"+asked.BlobName, h.options.UploadTTL)
	if errors.Is(err, errUploads) {
		return &httpError{status: http.StatusForbidden, code: "IotHubTooManyFileUploads", detail: err.Error()}
	}
	if err != nil {
		return err
	}
	h.log.Info("upload begun", "device", id, "blob", u.Blob, "correlation", u.Correlation)
	return answer(w, map[string]string{
		"correlationId": u.Correlation, "hostName": h.httpsEndpoint(), "containerName": container,
		"blobName": u.Blob, "sasToken": h.blobToken(u.Blob, u.Expires),
	})
}

// postFileNotification takes the word of a device on how an upload went. The
// correlation id is in the body, or as the Node SDK has it in the path.
func (h *Hub) postFileNotification(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := h.failAs(id, faultNotification); err != nil {
		return err
	}
	var told struct {
		Correlation string `json:"correlationId"`
		OK          *bool  `json:"isSuccess"`
		Status      int    `json:"statusCode"`
		Description any    `json:"statusDescription"` // of the Node SDK it may be any answer of the storage
	}
	if err := readJSON(w, r, &told); err != nil {
		return err
	}
	if path := r.PathValue("correlation"); path != "" {
		told.Correlation = path
	}
	if told.Correlation == "" || told.OK == nil {
		return invalid("want correlationId, isSuccess, statusCode and statusDescription")
	}
	description, _ := told.Description.(string)
	report := uploadReport{OK: *told.OK, Status: told.Status, Description: description, Time: time.Now().UTC()}
	u, err := h.uploads.end(id, told.Correlation, report, h.blobs.size)
	if errors.Is(err, errNoUpload) {
		return invalid("correlationId %.80q: %v", told.Correlation, err)
	}
	if err != nil {
		return err
	}
	h.log.Info("upload over", "device", id, "blob", u.Blob, "success", u.Report.OK, "status", u.Report.Status, "bytes", u.Report.Bytes)
	if u.Report.OK && u.Report.Bytes < 0 {
		h.log.Warn("the device says that the upload has succeeded, but there is no such blob", "device", id, "blob", u.Blob)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getFileNotification gives a back end the next finished upload, with a lock.
func (h *Hub) getFileNotification(w http.ResponseWriter, _ *http.Request) error {
	u, ok := h.uploads.notification()
	if !ok {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("ETag", `"`+u.lock+`"`)
	w.Header().Set("iothub-enqueuedtime", u.Report.Time.Format(time.RFC3339Nano))
	return answer(w, map[string]any{
		"deviceId": u.Device, "blobUri": "https://" + h.httpsEndpoint() + blobPath(u.Blob), "blobName": u.Blob,
		"lastUpdatedTime": u.Report.Time.Format("2006-01-02T15:04:05-07:00"), "blobSizeInBytes": u.Report.Bytes,
		"enqueuedTimeUtc": u.Report.Time.Format("2006-01-02T15:04:05.0000000Z"),
	})
}

func (h *Hub) unlockFileNotification(w http.ResponseWriter, r *http.Request) error {
	if err := h.uploads.unlock(r.PathValue("lock"), r.Method == http.MethodDelete); err != nil {
		if errors.Is(err, errNoLock) {
			return &httpError{status: http.StatusPreconditionFailed, code: "PreconditionFailed", detail: err.Error()}
		}
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Hub) getUploads(w http.ResponseWriter, r *http.Request) error {
	return answer(w, h.uploads.list(r.URL.Query().Get("device")))
}

// failAs is the answer that a fault asks for.
func (h *Hub) failAs(device, kind string) error {
	f := h.faults.take(device, kind)
	if f.Kind == "" {
		return nil
	}
	return &httpError{status: f.Code, code: "FaultInjected", detail: "fault injected: " + kind}
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	if err := body.Decode(v); err != nil {
		return invalid("the body is not what is wanted: %v", err)
	}
	if _, err := body.Token(); !errors.Is(err, io.EOF) {
		return invalid("the body has more than one JSON value")
	}
	return nil
}

// blobNameForm reports whether the storage takes a name.
//
// Source: Microsoft, "Naming and referencing containers, blobs, and metadata".
func blobNameForm(name string) bool {
	if name == "" || len(name) > 1024 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || strings.HasSuffix(segment, ".") {
			return false
		}
	}
	return strings.Count(name, "/") < 254
}
