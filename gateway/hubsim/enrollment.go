package hubsim

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// enrollment lets one board register itself with the provisioning service,
// with credentials of its own instead of those of the group.
type enrollment struct {
	ID       string `json:"id"` // of the registration
	Device   string `json:"device"`
	ETag     string `json:"etag"`
	Disabled bool   `json:"disabled,omitempty"`
	credential
}

// credential is what proves who a board is: two symmetric keys (authSAS), or
// the thumbprints of two certificates (authThumbprint).
type credential struct {
	Auth      string `json:"auth"`
	Primary   string `json:"primary_key"`
	Secondary string `json:"secondary_key"`
}

var errNoEnrollment = errors.New("there is no such enrollment")

// credentials finds out which credential a board has proved to have.
func (h *Hub) credentials(l login, password string, chain []*x509.Certificate) (c credential, device string, err error) {
	if e, ok := h.state.enrollment(l.registration); ok {
		return e.credential, e.Device, e.check(l, password, chain)
	}
	if password == "" { // the group with an authority
		if err := h.checkChain(chain, l.registration); err != nil {
			return c, "", err
		}
		_, thumbprint := thumbprints(chain[0])
		return credential{Auth: authThumbprint, Primary: thumbprint}, l.registration, nil
	}
	key, err := derivedKey(h.secrets.GroupKey, l.registration)
	if err != nil {
		return c, "", err
	}
	c = credential{Auth: authSAS, Primary: key}
	if err := checkRegistrationToken(l, password, key); err != nil {
		return c, "", fmt.Errorf("%w (derived for this registration from that of the group)", err)
	}
	return c, l.registration, nil
}

// check compares what a board shows with what its enrollment says.
func (e enrollment) check(l login, password string, chain []*x509.Certificate) error {
	if e.Auth == authSAS {
		return checkRegistrationToken(l, password, e.Primary, e.Secondary)
	}
	if err := checkThumbprint(chain, e.Primary, e.Secondary); err != nil {
		return err
	}
	if cn := chain[0].Subject.CommonName; cn != l.registration {
		return fmt.Errorf("the certificate is for %.80q (its common name), not for registration %s", cn, l.registration)
	}
	return nil
}

func checkRegistrationToken(l login, password string, keys ...string) error {
	t, err := parseToken(password)
	switch {
	case err != nil:
		return err
	case t.host != l.scope || !t.covers("registrations/"+l.registration):
		return fmt.Errorf("the token is for %.80q, not for this registration", t.host+"/"+t.path)
	case !t.expires.After(time.Now()):
		return fmt.Errorf("the token ended at %s", t.expires.UTC().Format(time.RFC3339))
	case t.policy != "registration":
		return errors.New("field skn of the token must be registration")
	case !t.signedBy(keys...):
		return errors.New("the token is not signed with the key of this registration")
	}
	return nil
}

// provision makes the device of a registration. A device that is there keeps
// its keys; a new certificate takes the place of the old one.
func (s *state) provision(device string, c credential) error {
	fresh, err := newIdentity(device, c)
	if err != nil {
		return err
	}
	_, err = s.createAs(fresh)
	if !errors.Is(err, errDeviceExists) {
		return err
	}
	i, ok := s.identity(device)
	if ok && i.Auth == c.Auth && (c.Auth == authSAS || c.Primary == i.Primary) {
		return nil
	}
	_, err = s.update(device, "*", func(i *identity) { i.credential = c })
	return err
}

func (s *state) enrollment(id string) (enrollment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.enrollments[id]
	if !ok {
		return enrollment{}, false
	}
	return *e, true
}

// enrol writes down an enrollment; etag is the version that must be there, "*"
// any, and "" none.
func (s *state) enrol(e enrollment, etag string) (enrollment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.enrollments[e.ID]
	switch {
	case exists && etag == "":
		return e, errEnrollmentExists
	case etag != "" && etag != "*" && (!exists || old.ETag != etag):
		return e, errETag
	}
	e.ETag = randomHex(6)
	return e, s.commit(change{Enrollment: &e})
}

// unenrol removes an enrollment. The device that came of it stays.
func (s *state) unenrol(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.enrollments[id]; !ok {
		return errNoEnrollment
	}
	return s.commit(change{Unenrolled: id})
}

var errEnrollmentExists = errors.New("the enrollment exists already")

func (s *state) sortedEnrollments() []*enrollment {
	list := make([]*enrollment, 0, len(s.enrollments))
	for _, e := range s.enrollments {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *enrollment) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// complete makes keys that are missing, and checks the others.
func (c *credential) complete() error {
	switch c.Auth {
	case authSAS:
		for _, key := range []*string{&c.Primary, &c.Secondary} {
			if *key == "" {
				*key = newKey()
			}
			if !validKey(*key) {
				return errors.New("a symmetric key is base64 of 16 to 64 bytes; an empty one is made")
			}
		}
	case authThumbprint:
		for _, thumbprint := range []*string{&c.Primary, &c.Secondary} {
			if *thumbprint != "" && !validThumbprint(*thumbprint) {
				return fmt.Errorf("thumbprint %.80q: want SHA-1 or SHA-256 in hex", *thumbprint)
			}
			*thumbprint = strings.ToUpper(*thumbprint)
		}
		if c.Primary == "" {
			return errors.New("a device with its own certificate needs its primary thumbprint")
		}
	case authCA:
		c.Primary, c.Secondary = "", ""
	default:
		return fmt.Errorf("authentication type %.20q is not simulated, want %s, %s or %s", c.Auth, authSAS, authThumbprint, authCA)
	}
	return nil
}
