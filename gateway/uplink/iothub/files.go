package iothub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// File upload: the hub says where to, the storage takes the file, and the hub
// is told how it went.
//
// Source: Microsoft, "Upload files with IoT Hub"; the error codes from
// "Understand and resolve Azure IoT Hub errors".

// FilesConfig are the keys that file upload needs.
type FilesConfig struct {
	HTTPSPort int `yaml:"https_port" default:"443" min:"1" max:"65535" doc:"Port of the HTTPS side of the hub, where uploads of files begin"`
}

func (c FilesConfig) checkFiles(f *faults) {
	if c.HTTPSPort < 0 || c.HTTPSPort > 65535 { // 0 is the default, too
		f.add("https_port", "%d is not allowed, want 1 to 65535", c.HTTPSPort)
	}
}

// Files is the way for files of the device.
func (u *Upstream) Files() upload.Cloud { return files{u, newTrust("storage", u.config, u.parts)} }

type files struct {
	*Upstream
	storageTrust *mqtt.Trust
}

// Open makes clients with the certificates of this moment.
func (f files) Open(ctx context.Context) (upload.Session, error) {
	access, err := f.access(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	toStorage, settle, err := f.storageTrust.TLS("") // the name follows from the URL
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return &fileSession{hubAccess: access, name: f.Name(), storage: storage{f.line.web(toStorage, settle)}}, nil
}

// hubAccess is how this device gets at the HTTPS side of its hub.
type hubAccess struct {
	web web
	url string // up to and with the device
	// token makes a fresh one, or "" if a certificate says who calls.
	token func() (string, error)
}

// requestTokenTTL is the life of the token of one request.
const requestTokenTTL = time.Hour

// access signs in for one attempt.
func (f files) access(ctx context.Context) (hubAccess, error) {
	if !f.parts.Clock.Trusted() {
		return hubAccess{}, fmt.Errorf("the clock of this board is not set yet, and a hub takes no token of another time: %w", uplink.ErrNotReady)
	}
	expires := func() time.Time { return f.parts.Clock.Now().Add(requestTokenTTL) }
	l, err := f.signIn.login(ctx, expires())
	if err != nil {
		return hubAccess{}, err
	}
	settings, settle, err := f.trust.TLS(l.serverName)
	if err != nil {
		return hubAccess{}, err
	}
	l.show(settings)
	return hubAccess{
		web: f.line.web(settings, settle),
		url: "https://" + net.JoinHostPort(l.serverName, strconv.Itoa(cmp.Or(f.config.HTTPSPort, 443))) + "/devices/" + escape(l.device),
		token: func() (string, error) {
			p, err := f.signIn.prove(l.resource(), "", expires())
			return p.token, err
		},
	}, nil
}

// fileSession is one attempt at bringing a file to the storage.
type fileSession struct {
	hubAccess
	storage
	name string
}

func (s *fileSession) Close() {
	s.hubAccess.web.CloseIdleConnections()
	s.storage.web.CloseIdleConnections()
}

// post asks the hub.
func (s *fileSession) post(ctx context.Context, path string, body any) (response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path+"?api-version="+apiVersion, jsonBody(body))
	if err != nil {
		return response{}, err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Accept", "application/json")
	token, err := s.token()
	if err != nil {
		return response{}, fmt.Errorf("%s: %w", s.name, err)
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	a, err := s.hubAccess.web.ask(r, maxAnswerBytes)
	if err != nil {
		return a, fmt.Errorf("%s: %w", s.name, err)
	}
	return a, nil
}

// Begin asks the hub where a file may go.
func (s *fileSession) Begin(ctx context.Context, name string) (upload.Ticket, error) {
	a, err := s.post(ctx, "/files", map[string]string{"blobName": name})
	if err != nil {
		return upload.Ticket{}, err
	}
	if a.status != http.StatusOK {
		return upload.Ticket{}, s.refusal("begin an upload", a)
	}
	t, err := parseTicket(a.body)
	if err != nil {
		return t, fmt.Errorf("%s: its answer to an upload: %w", s.name, err)
	}
	return t, nil
}

// Report tells the hub how it went.
func (s *fileSession) Report(ctx context.Context, t upload.Ticket, o upload.Outcome) error {
	detail := o.Detail
	if detail == "" && o.OK {
		detail = "Created"
	}
	a, err := s.post(ctx, "/files/notifications", map[string]any{
		"correlationId": t.Correlation, "isSuccess": o.OK, "statusCode": o.Status, "statusDescription": detail,
	})
	if err != nil {
		return err
	}
	switch {
	case a.status/100 == 2:
		return nil
	case a.status == http.StatusNotFound, a.status == http.StatusBadRequest: // of another hub, or over since long
		return fmt.Errorf("%s: it does not know the upload: HTTP status %d: %w", s.name, a.status, gateway.ErrInvalid)
	}
	return s.refusal("report an upload", a)
}

// refusal says what the hub's answer means.
func (s *fileSession) refusal(what string, a response) error {
	code := excerpt(a.header.Get("iothub-errorcode"))
	if code == "" {
		code = excerpt(string(a.body))
	}
	err := fmt.Errorf("%s: %s: HTTP status %d %s", s.name, what, a.status, code)
	switch a.status {
	case http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	case http.StatusBadRequest, // 400014, for one, of a hub without a storage account; the name is not to blame, it was checked
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("%w; check that the hub has a storage account for uploads, the sign-in of this board and its clock, and that no more than 10 uploads are under way: %w", err, uplink.ErrRefused)
	}
	return a.later(err)
}

// parseTicket reads the answer to the beginning of an upload. What it leads to
// is https, whatever it says.
func parseTicket(body []byte) (upload.Ticket, error) {
	var told struct {
		CorrelationID, HostName, ContainerName, BlobName, SASToken string
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return upload.Ticket{}, fmt.Errorf("no JSON: %w", err)
	}
	t := upload.Ticket{
		Correlation: told.CorrelationID, Host: told.HostName, Container: told.ContainerName,
		Blob: told.BlobName, Token: strings.TrimPrefix(told.SASToken, "?"),
	}
	host, port, hasPort := strings.Cut(t.Host, ":")
	_, bad := url.ParseQuery(t.Token)
	switch {
	case t.Correlation == "" || len(t.Correlation) > 1024:
		return t, errors.New("there is no correlationId")
	case !hostForm.MatchString(host), hasPort && !portForm.MatchString(port):
		return t, fmt.Errorf("hostName %.80q is no host name", t.Host)
	case t.Container == "" || t.Blob == "" || len(t.Container)+len(t.Blob) > 2048:
		return t, errors.New("there is no containerName or no blobName")
	case t.Token == "" || len(t.Token) > 4096 || bad != nil || strings.ContainsFunc(t.Token, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }):
		return t, errors.New("there is no sasToken that could be used")
	}
	return t, nil
}
