package hubsim

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// The ways in which a device proves who it is.
const (
	authSAS        = "sas"
	authThumbprint = "selfSigned"
	authCA         = "certificateAuthority"
)

// thumbprints of a certificate, in the two forms that the registry takes.
func thumbprints(c *x509.Certificate) (sha1Form, sha256Form string) {
	short, long := sha1.Sum(c.Raw), sha256.Sum256(c.Raw)
	return strings.ToUpper(hex.EncodeToString(short[:])), strings.ToUpper(hex.EncodeToString(long[:]))
}

// validThumbprint reports whether s is SHA-1 or SHA-256 in hex.
func validThumbprint(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && (len(b) == sha1.Size || len(b) == sha256.Size)
}

// loadDeviceCAs reads the certificates that may sign those of devices.
func loadDeviceCAs(paths []string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, path := range paths {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("authority of devices: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authority of devices: %s has no certificate in PEM", path)
		}
	}
	return pool, nil
}

// checkChain checks that name has the first certificate, and that a known
// authority stands behind it.
func (h *Hub) checkChain(chain []*x509.Certificate, name string) error {
	if len(chain) == 0 {
		return errors.New("there is no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: h.deviceCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return fmt.Errorf("the certificate is of no authority that was given with --device-ca: %w", err)
	}
	if cn := chain[0].Subject.CommonName; cn != name {
		return fmt.Errorf("the certificate is for %.80q (its common name), not for %s", cn, name)
	}
	return nil
}

// checkThumbprint checks that the first certificate is one of those on record.
// Possession of its key was proved by TLS.
func checkThumbprint(chain []*x509.Certificate, known ...string) error {
	if len(chain) == 0 {
		return errors.New("there is no certificate")
	}
	if now := time.Now(); now.Before(chain[0].NotBefore) || now.After(chain[0].NotAfter) {
		return fmt.Errorf("the certificate is valid from %s to %s", chain[0].NotBefore.Format(time.RFC3339), chain[0].NotAfter.Format(time.RFC3339))
	}
	short, long := thumbprints(chain[0])
	for _, thumbprint := range known {
		if thumbprint != "" && (strings.EqualFold(thumbprint, short) || strings.EqualFold(thumbprint, long)) {
			return nil
		}
	}
	return fmt.Errorf("the certificate with thumbprint %s is not the device's", short)
}
