package hubsim

import (
	"crypto/hmac"
	"crypto/md5" // the storage's own check against damage on the way
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The storage's own API, as much of it as uploads need: Put Blob, Put Block,
// Put Block List, Get Block List and Get Blob.
//
// Source: Microsoft, "Blob service REST API".

// blobError is an answer of the storage that is no success.
type blobError struct {
	status int
	code   string
	detail string
}

func (e *blobError) Error() string { return e.code + ": " + e.detail }

// serveBlob checks the token in the query, and answers.
func (h *Hub) serveBlob(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		return
	}
	defer h.running.Done()
	blob := r.PathValue("blob")
	w.Header().Set("x-ms-request-id", randomHex(16))
	w.Header().Set("x-ms-version", "2020-10-02")
	if id := r.Header.Get("x-ms-client-request-id"); id != "" && len(id) <= 1024 {
		w.Header().Set("x-ms-client-request-id", id)
	}
	err := h.allowBlob(r, blob)
	if err == nil {
		err = h.blobFault(r, blob)
	}
	if err == nil {
		err = h.handleBlob(w, r, blob)
	}
	if err != nil {
		h.answerBlobError(w, r, err)
	}
}

// allowBlob checks the shared access signature.
func (h *Hub) allowBlob(r *http.Request, blob string) error {
	query := r.URL.Query()
	se, sig := query.Get("se"), query.Get("sig")
	end, err := time.Parse(time.RFC3339, se)
	device, _, _ := strings.Cut(blob, "/")
	switch {
	case err != nil || query.Get("sp") != "rw" || !hmac.Equal([]byte(sig), []byte(h.signBlob(blob, se))):
		return &blobError{http.StatusForbidden, "AuthenticationFailed", "the signature in the query is not for this blob"}
	case !time.Now().Before(end), h.faults.take(device, faultExpireUpload).Kind != "":
		return &blobError{http.StatusForbidden, "AuthenticationFailed", "the signature in the query has expired"}
	}
	return nil
}

// blobFault does what a fault asks for.
func (h *Hub) blobFault(r *http.Request, blob string) error {
	device, _, _ := strings.Cut(blob, "/")
	switch f := h.faults.take(device, faultBlock, faultHangBlock, faultCutBlock); f.Kind {
	case faultBlock:
		return &blobError{f.Code, "FaultInjected", "fault injected: " + f.Kind}
	case faultHangBlock:
		select { // until one of the two has had enough
		case <-r.Context().Done():
		case <-h.closing.Done():
		}
		panic(http.ErrAbortHandler)
	case faultCutBlock:
		_, _ = io.CopyN(io.Discard, r.Body, max(r.ContentLength/2, 0))
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (h *Hub) handleBlob(w http.ResponseWriter, r *http.Request, blob string) error {
	switch comp := r.URL.Query().Get("comp"); {
	case r.Method == http.MethodPut && comp == "block":
		return h.putBlock(w, r, blob)
	case r.Method == http.MethodPut && comp == "blocklist":
		return h.putBlockList(w, r, blob)
	case r.Method == http.MethodPut && comp == "":
		return h.putBlob(w, r, blob)
	case r.Method == http.MethodGet && comp == "blocklist":
		return h.getBlockList(w, r, blob)
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && comp == "":
		return h.getBlob(w, r, blob)
	}
	return &blobError{http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "this operation is not simulated"}
}

// receiveBody takes the body of a request into a file, and checks its MD5 if
// the client tells one.
func (h *Hub) receiveBody(r *http.Request) (path string, err error) {
	switch {
	case r.ContentLength < 0:
		return "", &blobError{http.StatusLengthRequired, "MissingContentLengthHeader", "Content-Length is missing"}
	case r.ContentLength > maxBlockBytes:
		return "", &blobError{http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", fmt.Sprintf("more than %d bytes at once are not simulated", maxBlockBytes)}
	}
	sum := md5.New()
	path, err = h.blobs.receive(io.TeeReader(r.Body, sum), r.ContentLength)
	if err != nil {
		return "", &blobError{http.StatusBadRequest, "IncompleteBody", err.Error()}
	}
	if told := r.Header.Get("Content-MD5"); told != "" && told != base64.StdEncoding.EncodeToString(sum.Sum(nil)) {
		return "", errors.Join(os.Remove(path), &blobError{http.StatusBadRequest, "Md5Mismatch", "the body is not what Content-MD5 says"})
	}
	return path, nil
}

func (h *Hub) putBlock(w http.ResponseWriter, r *http.Request, blob string) error {
	path, err := h.receiveBody(r)
	if err != nil {
		return err
	}
	err = h.blobs.stage(blob, r.URL.Query().Get("blockid"), path)
	if err != nil {
		_ = os.Remove(path)
	}
	if errors.Is(err, errBlockID) {
		return &blobError{http.StatusBadRequest, "InvalidBlobOrBlock", err.Error()}
	}
	if err != nil {
		return err
	}
	h.log.Debug("block staged", "blob", blob, "bytes", r.ContentLength)
	w.Header().Set("x-ms-request-server-encrypted", "true")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// headersOf are the properties of a blob that its writer sets.
func headersOf(r *http.Request) blobInfo {
	i := blobInfo{ContentType: r.Header.Get("x-ms-blob-content-type"), MD5: r.Header.Get("x-ms-blob-content-md5")}
	if i.ContentType == "" {
		i.ContentType = "application/octet-stream"
	}
	return i
}

func (h *Hub) putBlockList(w http.ResponseWriter, r *http.Request, blob string) error {
	refs, err := parseBlockList(http.MaxBytesReader(w, r.Body, maxBlocks*256))
	if err != nil {
		return &blobError{http.StatusBadRequest, "InvalidXmlDocument", err.Error()}
	}
	i, err := h.blobs.commit(blob, refs, headersOf(r))
	if errors.Is(err, errBlockList) || errors.Is(err, errBlockID) {
		return &blobError{http.StatusBadRequest, "InvalidBlockList", err.Error()}
	}
	if err != nil {
		return err
	}
	return h.created(w, i)
}

func (h *Hub) putBlob(w http.ResponseWriter, r *http.Request, blob string) error {
	if kind := r.Header.Get("x-ms-blob-type"); kind != "BlockBlob" {
		return &blobError{http.StatusBadRequest, "InvalidHeaderValue", fmt.Sprintf("x-ms-blob-type is %.40q, want BlockBlob", kind)}
	}
	path, err := h.receiveBody(r)
	if err != nil {
		return err
	}
	i, err := h.blobs.put(blob, path, headersOf(r))
	if err != nil {
		return err
	}
	return h.created(w, i)
}

func (h *Hub) created(w http.ResponseWriter, i blobInfo) error {
	h.log.Info("blob written", "blob", i.Name, "bytes", i.Size, "blocks", len(i.Blocks))
	w.Header().Set("ETag", `"`+i.ETag+`"`)
	w.Header().Set("Last-Modified", i.Modified.Format(http.TimeFormat))
	w.Header().Set("x-ms-request-server-encrypted", "true")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// parseBlockList reads the body of Put Block List.
func parseBlockList(body io.Reader) (refs []blockRef, err error) {
	decoder := xml.NewDecoder(body)
	root := false
	for {
		t, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if !root {
				return nil, errors.New("there is no BlockList")
			}
			return refs, nil
		}
		if err != nil {
			return nil, err
		}
		start, ok := t.(xml.StartElement)
		switch {
		case !ok:
		case !root && start.Name.Local == "BlockList":
			root = true
		case root && (start.Name.Local == "Latest" || start.Name.Local == "Uncommitted" || start.Name.Local == "Committed"):
			var id string
			if err := decoder.DecodeElement(&id, &start); err != nil {
				return nil, err
			}
			if refs = append(refs, blockRef{id: strings.TrimSpace(id), from: start.Name.Local}); len(refs) > maxBlocks {
				return nil, fmt.Errorf("more than %d blocks", maxBlocks)
			}
		default:
			return nil, fmt.Errorf("element %.40q is not known", start.Name.Local)
		}
	}
}

func (h *Hub) getBlockList(w http.ResponseWriter, r *http.Request, blob string) error {
	committed, uncommitted, err := h.blobs.list(blob)
	if err != nil {
		return err
	}
	type entry struct {
		Name string
		Size int64
	}
	type list struct {
		Block []entry
	}
	var doc struct {
		XMLName     xml.Name `xml:"BlockList"`
		Committed   *list    `xml:"CommittedBlocks"`
		Uncommitted *list    `xml:"UncommittedBlocks"`
	}
	entries := func(blocks []block) *list {
		l := &list{}
		for _, b := range blocks {
			l.Block = append(l.Block, entry{b.ID, b.Size})
		}
		return l
	}
	kind := r.URL.Query().Get("blocklisttype")
	if kind == "" || kind == "committed" || kind == "all" {
		doc.Committed = entries(committed)
	}
	if kind == "uncommitted" || kind == "all" {
		doc.Uncommitted = entries(uncommitted)
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, xml.Header) // the client may be gone
	_ = xml.NewEncoder(w).Encode(doc)
	return nil
}

func (h *Hub) getBlob(w http.ResponseWriter, r *http.Request, blob string) error {
	i, err := h.blobs.info(blob)
	if err != nil {
		return err
	}
	f, err := h.blobs.open(blob)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	w.Header().Set("ETag", `"`+i.ETag+`"`)
	w.Header().Set("Content-Type", i.ContentType)
	w.Header().Set("x-ms-blob-type", "BlockBlob")
	if i.MD5 != "" {
		w.Header().Set("Content-MD5", i.MD5)
	}
	http.ServeContent(w, r, filepath.Base(blob), i.Modified, f)
	return nil
}

// getOwnBlob reads a blob without a token of the storage.
func (h *Hub) getOwnBlob(w http.ResponseWriter, r *http.Request) error {
	err := h.getBlob(w, r, r.PathValue("blob"))
	if errors.Is(err, errNoBlob) {
		return &httpError{status: http.StatusNotFound, code: "BlobNotFound", detail: err.Error()}
	}
	return err
}

func (h *Hub) answerBlobError(w http.ResponseWriter, r *http.Request, err error) {
	var e *blobError
	switch {
	case errors.As(err, &e):
	case errors.Is(err, errNoBlob):
		e = &blobError{http.StatusNotFound, "BlobNotFound", err.Error()}
	default:
		h.log.Error("a request to the storage has failed", "method", r.Method, "path", r.URL.Path, "error", err)
		e = &blobError{http.StatusInternalServerError, "InternalError", err.Error()}
	}
	h.log.Debug("the storage refuses", "method", r.Method, "path", r.URL.Path, "code", e.code)
	w.Header().Set("x-ms-error-code", e.code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.status)
	body := struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: e.code, Message: e.detail + "\nRequestId:" + w.Header().Get("x-ms-request-id")}
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(body) // the client may be gone
}
