package hubsim

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// proof is how a device has proved who it is.
type proof struct {
	// method is the hub's JSON for it, which goes with each message.
	method string
	// ends is when the connection must end; zero is never.
	ends time.Time
	// token is the signature of the token, nil if there is none.
	token []byte
}

// authenticate checks the login of a device. The error goes to the log; the
// device learns nothing but "not authorized".
func (h *Hub) authenticate(l login, clientID, password string, chain []*x509.Certificate) (id identity, p proof, err error) {
	if !h.ours(l.host) {
		return id, p, fmt.Errorf("user name: the hub's name is %s, not %.80q", h.options.Host, l.host)
	}
	if l.device != clientID {
		return id, p, fmt.Errorf("client id %.80q and user name (device %s) must be the same device", clientID, l.device)
	}
	v, err := h.state.view(l.device)
	if err != nil {
		return id, p, fmt.Errorf("device %s: %w", l.device, err)
	}
	p, err = h.prove(v.identity, password, chain)
	if err == nil && len(p.token) > 0 && bytes.Equal(p.token, v.revoked) {
		err = errors.New("the token ended when a caller wished it")
	}
	return v.identity, p, err
}

// prove checks that a token or a certificate is the device's.
func (h *Hub) prove(id identity, password string, chain []*x509.Certificate) (p proof, err error) {
	device, _, _ := strings.Cut(id.ID, "/")
	if parent, ok := h.state.identity(device); !ok || parent.Disabled {
		return p, fmt.Errorf("device %s is disabled", device)
	}
	if id.Auth != authSAS {
		return h.proveByCertificate(id, password, chain)
	}
	t, err := h.checkToken(password, resource(id.ID))
	if err != nil {
		return p, err
	}
	p = proof{`{"scope":"device","type":"sas","issuer":"iothub"}`, t.expires, t.signature}
	if t.policy != "" {
		p.method = `{"scope":"hub","type":"sas","issuer":"iothub"}`
		return p, h.checkPolicy(t, deviceConnect)
	}
	if !t.signedBy(id.Primary, id.Secondary) {
		return p, fmt.Errorf("the token is not signed with a key of device %s", id.ID)
	}
	return p, nil
}

func (h *Hub) proveByCertificate(id identity, password string, chain []*x509.Certificate) (p proof, err error) {
	switch {
	case password != "":
		err = errors.New("there is a token, where only a certificate is allowed")
	case id.Auth == authThumbprint:
		err = checkThumbprint(chain, id.Primary, id.Secondary)
	default:
		err = h.checkChain(chain, id.ID)
	}
	if err != nil {
		return p, fmt.Errorf("device %s proves itself by certificate (%s): %w", id.ID, id.Auth, err)
	}
	return proof{method: `{"scope":"device","type":"x509Certificate","issuer":"external"}`}, nil
}

// checkToken checks all of a token but its signature.
func (h *Hub) checkToken(s, path string) (token, error) {
	if s == "" {
		return token{}, errors.New("there is no token")
	}
	t, err := parseToken(s)
	switch {
	case err != nil:
		return t, err
	case !h.ours(t.host):
		return t, fmt.Errorf("the token is for host %.80q, the hub's name is %s", t.host, h.options.Host)
	case !t.covers(path):
		return t, fmt.Errorf("the token is for %.80q, which does not cover %s", t.path, path)
	case !t.expires.After(time.Now()):
		return t, fmt.Errorf("the token ended at %s; is the clock of the client right?", t.expires.UTC().Format(time.RFC3339))
	}
	return t, nil
}

func (h *Hub) checkPolicy(t token, want right) error {
	key, known := h.secrets.Policies[t.policy]
	switch {
	case !known || !t.signedBy(key):
		return fmt.Errorf("the token is not signed with the key of a policy %.40q", t.policy)
	case policies[t.policy]&want != want:
		return fmt.Errorf("policy %s does not have the right for this", t.policy)
	}
	return nil
}

// ours reports whether host is a name of this hub. In names case is nothing.
func (h *Hub) ours(host string) bool {
	return strings.EqualFold(host, h.options.Host) || strings.EqualFold(host, "localhost") || host == "127.0.0.1"
}

// allow checks an HTTPS request: a token of a policy with the right, or no
// token at all from this machine.
func (h *Hub) allow(r *http.Request, want right) error {
	header := r.Header.Get("Authorization")
	if header == "" {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
			return nil
		}
		return errors.New("an Authorization with a token of the service is needed; only callers on this machine go without")
	}
	t, err := h.checkToken(header, strings.Trim(r.URL.Path, "/"))
	if err != nil {
		return err
	}
	return h.checkPolicy(t, want)
}
