package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/fieldpost/fieldpost/gateway"
)

// NewTLS returns the settings for a server of that name: TLS 1.2 or later, the
// name is checked, trusted are the roots of the system and, unless caFile is
// empty, the certificates in that PEM file. The file is read now, so that a
// replaced one counts from the next connection on.
func NewTLS(serverName, caFile string) (*tls.Config, error) {
	c := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a board without roots can still trust its own
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM form: %w", caFile, gateway.ErrInvalid)
	}
	c.RootCAs = roots
	return c, nil
}
