package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"github.com/fieldpost/fieldpost/gateway"
)

// NewTLS returns the settings for a server of that name: TLS 1.2 or later, the
// name is checked, trusted are the roots of the system and, unless caFile is
// empty, the certificates in that PEM file. The file is read now, so that a
// replaced one counts from the next connection on.
func NewTLS(serverName, caFile string) (*tls.Config, error) {
	if caFile == "" {
		return &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12}, nil
	}
	pem, err := readBundle(caFile)
	if err != nil {
		return nil, err
	}
	return newTLS(serverName, pem), nil
}

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

// newTLS trusts pem beside the roots of the system.
func newTLS(serverName string, pem []byte) *tls.Config {
	roots, err := x509.SystemCertPool()
	if err != nil { // a board without roots can still trust its own
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12, RootCAs: roots}
}
