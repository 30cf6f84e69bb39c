package iothub

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// certificate is a credential of two PEM files. They are read at each
// connection, so that a renewal is a replacement of the files.
type certificate struct {
	file    string // the certificate, and those between it and its CA
	keyFile string
}

func (c certificate) prove(string, string, time.Time) (proof, error) {
	certPEM, err := os.ReadFile(c.file)
	if err != nil {
		return proof{}, fmt.Errorf("certificate_file: %w", err)
	}
	keyPEM, err := os.ReadFile(c.keyFile)
	if err != nil {
		return proof{}, fmt.Errorf("key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return proof{}, fmt.Errorf("certificate_file %s and key_file %s: %w: %w", c.file, c.keyFile, c.mend(certPEM, keyPEM, err), gateway.ErrInvalid)
	}
	return proof{certificate: &pair}, nil
}

// mend says more plainly what is wrong with the files.
func (c certificate) mend(certPEM, keyPEM []byte, err error) error {
	if block, _ := pem.Decode(certPEM); block == nil {
		return fmt.Errorf("%s holds no certificate in PEM form", c.file)
	}
	switch block, _ := pem.Decode(keyPEM); {
	case block == nil:
		return fmt.Errorf("%s holds no key in PEM form", c.keyFile)
	case block.Type == "ENCRYPTED PRIVATE KEY", bytes.Contains(keyPEM, []byte("Proc-Type: 4,ENCRYPTED")):
		return fmt.Errorf("the key in %s is encrypted; take the passphrase off, and let the user fieldpost alone read it", c.keyFile)
	}
	return err
}

func (c certificate) renewable() bool { return false }

func (c certificate) hint() string {
	return "that the hub knows the certificate in " + c.file + " for this device, by thumbprint or by its CA"
}

// fingerprint is the SHA-256 of the certificate in hex, "" without one.
func (p proof) fingerprint() string {
	if p.certificate == nil {
		return ""
	}
	sum := sha256.Sum256(p.certificate.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// show makes the certificate, if there is one, part of the handshake. A server
// may name the CAs that it likes; those of thumbprints are not among them.
func (p proof) show(settings *tls.Config) {
	if p.certificate != nil {
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return p.certificate, nil
		}
	}
}

// conditionCertificate stands while the certificate of this board is about to
// end, has ended, or cannot be read.
const conditionCertificate = "certificate-expiry"

// expiryNotice is how long before its end a certificate is worth a condition.
const expiryNotice = 90 * 24 * time.Hour

// inspect looks at the files again, so that what is wrong with them is known
// before they are needed.
func (u *Upstream) inspect() {
	p, err := u.signIn.prove("", "", time.Time{})
	if err != nil {
		u.parts.Health.Raise(conditionCertificate, health.Warning, "the next connection will fail: "+err.Error())
		return
	}
	u.judge(p.certificate)
}

// judge states for how long a certificate is good; nil is none.
func (u *Upstream) judge(c *tls.Certificate) {
	if c == nil {
		return
	}
	ends := c.Leaf.NotAfter
	const advice = "replace certificate_file and key_file; no restart is needed"
	switch left := ends.Sub(u.parts.Clock.Now()); {
	case left <= 0:
		u.parts.Health.Raise(conditionCertificate, health.Error,
			fmt.Sprintf("the certificate of this board ended on %s; %s", ends.UTC().Format(time.DateOnly), advice))
	case left <= expiryNotice:
		u.parts.Health.Raise(conditionCertificate, health.Warning,
			fmt.Sprintf("the certificate of this board ends on %s; %s", ends.UTC().Format(time.DateOnly), advice))
	default:
		u.parts.Health.Clear(conditionCertificate)
	}
}
