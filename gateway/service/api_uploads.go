package service

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// registerUploads adds the part of the local API that is about files.
func (a *api) registerUploads(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/uploads", a.withUploads(acceptUpload))
	mux.HandleFunc("GET /v1/uploads", a.withUploads(func(w http.ResponseWriter, _ *http.Request, u *upload.Uploader) {
		answer(w, u.List())
	}))
	mux.HandleFunc("GET /v1/uploads/{id}", a.withUploads(func(w http.ResponseWriter, r *http.Request, u *upload.Uploader) {
		answerUpload(w, r, u)
	}))
	mux.HandleFunc("DELETE /v1/uploads/{id}", a.withUploads(func(w http.ResponseWriter, r *http.Request, u *upload.Uploader) {
		if err := u.Cancel(r.PathValue("id")); err != nil {
			uploadFault(w, err)
			return
		}
		answerUpload(w, r, u)
	}))
}

func (a *api) withUploads(handle func(http.ResponseWriter, *http.Request, *upload.Uploader)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, err := a.uploader()
		if err != nil {
			fault(w, http.StatusNotImplemented, err)
			return
		}
		handle(w, r, u)
	}
}

// acceptUpload takes a file, which is the body of the request; name, type and
// size are in the query. It answers once the upload survives restarts.
func acceptUpload(w http.ResponseWriter, r *http.Request, u *upload.Uploader) {
	query := r.URL.Query()
	req := upload.Request{Name: query.Get("name"), ContentType: query.Get("type"), Size: r.ContentLength}
	if text := query.Get("size"); text != "" {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil || size < 0 {
			fault(w, http.StatusBadRequest, fmt.Errorf("size %.40q: want a number of bytes: %w", text, gateway.ErrInvalid))
			return
		}
		req.Size = size
	}
	accepted, err := u.Accept(r.Context(), req, r.Body)
	if err != nil {
		uploadFault(w, err)
		return
	}
	answer(w, accepted)
}

func answerUpload(w http.ResponseWriter, r *http.Request, u *upload.Uploader) {
	got, err := u.Get(r.PathValue("id"))
	if err != nil {
		uploadFault(w, err)
		return
	}
	answer(w, got)
}

func uploadFault(w http.ResponseWriter, err error) {
	if errors.Is(err, upload.ErrUnknown) {
		fault(w, http.StatusNotFound, err)
		return
	}
	fault(w, statusOf(err), err)
}
