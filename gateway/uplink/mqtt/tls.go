package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"github.com/fieldpost/fieldpost/gateway"
)

// maxBundleBytes bounds a PEM file of CAs; those of whole systems have 250 kB.
const maxBundleBytes = 4 << 20

// readBundle reads a file of certificates, one at least.
func readBundle(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	defer func() { _ = f.Close() }() // was read only
	pem, err := io.ReadAll(io.LimitReader(f, maxBundleBytes+1))
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	if len(pem) > maxBundleBytes || !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM form: %w", path, gateway.ErrInvalid)
	}
	return pem, nil
}

// newTLS trusts pem, which may be empty, beside the roots of the system.
func newTLS(serverName string, pem []byte) *tls.Config {
	c := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12}
	if len(pem) == 0 {
		return c
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a board without roots can still trust its own
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(pem)
	c.RootCAs = roots
	return c
}
