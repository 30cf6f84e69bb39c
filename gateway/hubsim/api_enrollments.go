package hubsim

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
)

// The routes for individual enrollments of the provisioning service, on the
// same port as those of the hub.
//
// Source: Microsoft, REST API of the Device Provisioning Service, "Individual
// Enrollment".

// enrollmentJSON is an enrollment as back ends know it.
type enrollmentJSON struct {
	ID          string          `json:"registrationId"`
	Device      string          `json:"deviceId,omitempty"`
	ETag        string          `json:"etag,omitempty"`
	Status      string          `json:"provisioningStatus"`
	Attestation attestationJSON `json:"attestation"`
}

type attestationJSON struct {
	Type string    `json:"type"`
	Keys *keysJSON `json:"symmetricKey,omitempty"`
	X509 *x509JSON `json:"x509,omitempty"`
}

type x509JSON struct {
	Client struct {
		Primary   *certificateJSON `json:"primary,omitempty"`
		Secondary *certificateJSON `json:"secondary,omitempty"`
	} `json:"clientCertificates"`
}

type keysJSON struct {
	Primary   string `json:"primaryKey"`
	Secondary string `json:"secondaryKey"`
}

// certificateJSON is a certificate, in PEM or in base64, on the way in, and its
// thumbprint on the way out.
type certificateJSON struct {
	Certificate string `json:"certificate,omitempty"`
	Info        struct {
		Thumbprint string `json:"sha256Thumbprint"`
	} `json:"info"`
}

// thumbprint reads the certificate.
func (c *certificateJSON) thumbprint() (string, error) {
	if c == nil {
		return "", nil
	}
	der := []byte(nil)
	if block, _ := pem.Decode([]byte(c.Certificate)); block != nil {
		der = block.Bytes
	} else if decoded, err := base64.StdEncoding.DecodeString(c.Certificate); err == nil {
		der = decoded
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", fmt.Errorf("a certificate must be in PEM or in base64: %w", err)
	}
	_, thumbprint := thumbprints(cert)
	return thumbprint, nil
}

// credential is what the attestation asks for.
func (a attestationJSON) credential() (c credential, err error) {
	switch {
	case a.Type == "symmetricKey":
		c.Auth = authSAS
		if a.Keys != nil {
			c.Primary, c.Secondary = a.Keys.Primary, a.Keys.Secondary
		}
	case a.Type == "x509" && a.X509 != nil:
		c.Auth = authThumbprint
		var first, second error
		c.Primary, first = a.X509.Client.Primary.thumbprint()
		c.Secondary, second = a.X509.Client.Secondary.thumbprint()
		err = errors.Join(first, second)
	default:
		err = errors.New("want an attestation of type symmetricKey, or x509 with clientCertificates")
	}
	return c, errors.Join(err, c.complete())
}

func (e enrollment) show() enrollmentJSON {
	shown := enrollmentJSON{ID: e.ID, Device: e.Device, ETag: e.ETag, Status: "enabled"}
	if e.Disabled {
		shown.Status = "disabled"
	}
	shown.Attestation.Type = "symmetricKey"
	if e.Auth == authSAS {
		shown.Attestation.Keys = &keysJSON{e.Primary, e.Secondary}
		return shown
	}
	shown.Attestation.Type = "x509"
	shown.Attestation.X509 = &x509JSON{}
	client := &shown.Attestation.X509.Client
	client.Primary, client.Secondary = showCertificate(e.Primary), showCertificate(e.Secondary)
	return shown
}

func showCertificate(thumbprint string) *certificateJSON {
	if thumbprint == "" {
		return nil
	}
	c := &certificateJSON{}
	c.Info.Thumbprint = thumbprint
	return c
}

func (h *Hub) getEnrollment(w http.ResponseWriter, r *http.Request) error {
	e, ok := h.state.enrollment(r.PathValue("id"))
	if !ok {
		return errNoEnrollment
	}
	return answer(w, e.show())
}

// putEnrollment creates an enrollment, or with If-Match updates it.
func (h *Hub) putEnrollment(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, 64<<10)
	if err != nil {
		return err
	}
	e, err := readEnrollment(body, r.PathValue("id"))
	if err != nil {
		return invalid("%v", err)
	}
	etag, _ := ifMatch(r)
	if e, err = h.state.enrol(e, etag); err != nil {
		return err
	}
	h.log.Info("enrollment written", "registration", e.ID, "device", e.Device)
	return answer(w, e.show())
}

func readEnrollment(body []byte, id string) (e enrollment, err error) {
	var request enrollmentJSON
	if err := json.Unmarshal(body, &request); err != nil {
		return e, fmt.Errorf("the body is no enrollment: %w", err)
	}
	if request.Device == "" {
		request.Device = id
	}
	switch {
	case request.ID != id || !registrationForm.MatchString(id):
		return e, fmt.Errorf("registrationId %.80q and the path (%.80q) must be the same lower-case id", request.ID, id)
	case !deviceForm.MatchString(request.Device):
		return e, fmt.Errorf("deviceId %.80q is none", request.Device)
	case request.Status != "" && request.Status != "enabled" && request.Status != "disabled":
		return e, fmt.Errorf("provisioningStatus %.20q is not allowed, want enabled or disabled", request.Status)
	}
	e = enrollment{ID: id, Device: request.Device, Disabled: request.Status == "disabled"}
	e.credential, err = request.Attestation.credential()
	return e, err
}

func (h *Hub) deleteEnrollment(w http.ResponseWriter, r *http.Request) error {
	if err := h.state.unenrol(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
