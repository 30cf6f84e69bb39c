package iothub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// startX509Hub knows device d1 by its certificate.
func startX509Hub(t *testing.T, known *x509.Certificate) *hub {
	h := startHub(t)
	h.demandCertificate(known)
	return h
}

// deviceFiles writes a certificate for d1 and its key.
func deviceFiles(t *testing.T, dir string, notAfter time.Time) (leaf *x509.Certificate, c SignInConfig) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "d1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c.CertificateFile, c.KeyFile = filepath.Join(dir, "device.pem"), filepath.Join(dir, "device.key")
	write(t, c.CertificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, c.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return leaf, c
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *hub) useCertificate(c SignInConfig) {
	c.Host, c.DeviceID = h.address, "d1"
	h.config.SignInConfig = c
}

// condition is the summary that stands under a code, "" if none does.
func (h *hub) condition(code string) (summary string, s health.Severity) {
	for _, c := range h.health.Conditions() {
		if c.Code == code {
			return c.Summary, c.Severity
		}
	}
	return "", ""
}

// TestCertificate: the gateway shows its certificate, though the server names
// other CAs; a file that was replaced counts from the next connection on.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	first, c := deviceFiles(t, dir, time.Now().Add(time.Hour))
	h := startX509Hub(t, first)
	h.useCertificate(c)
	u := h.upstream()
	s, err := u.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.close(s)
	if s, severity := h.condition(conditionCertificate); severity != health.Warning || !strings.Contains(s, "ends on") {
		t.Errorf("an hour before its end the condition is %q", s)
	}

	second, _ := deviceFiles(t, dir, time.Now().Add(365*24*time.Hour))
	if _, err := u.Connect(t.Context()); !errors.Is(err, uplink.ErrRefused) ||
		!strings.Contains(err.Error(), c.CertificateFile) || !strings.Contains(err.Error(), "thumbprint") {
		t.Errorf("with a certificate that the hub does not know: %v", err)
	}
	h.set(func() { h.thumbprint = second.Raw })
	if s, err = u.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.close(s)
	if s, _ := h.condition(conditionCertificate); s != "" {
		t.Errorf("a year before its end the condition is %q", s)
	}
}

func TestCertificateThatHasEnded(t *testing.T) {
	leaf, c := deviceFiles(t, t.TempDir(), time.Now().Add(-time.Minute))
	h := startX509Hub(t, leaf)
	h.useCertificate(c)
	if s, err := h.upstream().Connect(t.Context()); err == nil { // hubs judge; this one does not
		h.close(s)
	}
	if s, severity := h.condition(conditionCertificate); severity != health.Error || !strings.Contains(s, "ended on") {
		t.Errorf("the condition is %q", s)
	}
}

// TestCertificateRefusedWithinTLS: servers may judge a certificate before MQTT has
// a word, and with TLS 1.3 even after the handshake.
func TestCertificateRefusedWithinTLS(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			leaf, c := deviceFiles(t, t.TempDir(), time.Now().Add(time.Hour))
			h := startX509Hub(t, leaf)
			h.secure.ClientAuth, h.secure.MaxVersion = tls.RequireAndVerifyClientCert, version
			h.useCertificate(c)
			// The reason may be overtaken by the end of the connection: not each time.
			for end := time.Now().Add(30 * time.Second); ; {
				_, err := h.upstream().Connect(t.Context())
				if err == nil || time.Now().After(end) {
					t.Fatalf("error %v, want ErrRefused", err)
				}
				if errors.Is(err, uplink.ErrRefused) && strings.Contains(err.Error(), c.CertificateFile) {
					return
				}
			}
		})
	}
}

func TestBadCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	_, good := deviceFiles(t, dir, time.Now().Add(time.Hour))
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	otherDER, _ := x509.MarshalPKCS8PrivateKey(other)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, []byte(text))
		return path
	}
	encrypted := file("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	foreign := file("foreign", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: otherDER})))
	empty := file("empty", "")
	for name, tc := range map[string]struct {
		c    certificate
		want string
	}{
		"no certificate": {certificate{dir + "/none", good.KeyFile}, "certificate_file: open " + dir + "/none"},
		"no key":         {certificate{good.CertificateFile, dir + "/none"}, "key_file: open " + dir + "/none"},
		"empty":          {certificate{empty, good.KeyFile}, empty + " holds no certificate"},
		"empty key":      {certificate{good.CertificateFile, empty}, empty + " holds no key"},
		"encrypted key":  {certificate{good.CertificateFile, encrypted}, "the key in " + encrypted + " is encrypted"},
		"foreign key":    {certificate{good.CertificateFile, foreign}, foreign},
	} {
		if _, err := tc.c.prove("", "", time.Time{}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
	h := startHub(t)
	h.useCertificate(SignInConfig{CertificateFile: empty, KeyFile: empty})
	if _, err := h.upstream().Connect(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	u := h.upstream()
	u.inspect()
	if s, _ := h.condition(conditionCertificate); !strings.Contains(s, "the next connection will fail") {
		t.Errorf("the condition is %q", s)
	}
}

// demandCertificate makes the hub know d1 by a certificate alone. It names a CA
// that has nothing to do with it, as servers may.
func (h *hub) demandCertificate(known *x509.Certificate) {
	h.thumbprint = known.Raw
	h.secure.ClientAuth = tls.RequireAnyClientCert
	h.secure.ClientCAs = x509.NewCertPool()
	pemBytes, err := os.ReadFile(h.config.CAFile)
	if err != nil || !h.secure.ClientCAs.AppendCertsFromPEM(pemBytes) {
		h.t.Fatal("no CA", err)
	}
}

// proven checks the certificate of a client.
func (h *hub) proven(password string, c interface{ ConnectionState() tls.ConnectionState }) bool {
	shown := c.ConnectionState().PeerCertificates
	return password == "" && len(shown) == 1 && bytes.Equal(shown[0].Raw, h.thumbprint)
}

func TestSignInConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		c    SignInConfig
		want string // "" if nothing is wrong
	}{
		"key":                  {SignInConfig{Host: "h", DeviceID: "d", Key: testKey}, ""},
		"certificate":          {SignInConfig{Host: "h:1", DeviceID: "d", CertificateFile: "c", KeyFile: "k"}, ""},
		"x509 string":          {SignInConfig{ConnectionString: "HostName=h;DeviceId=d;x509=true", CertificateFile: "c", KeyFile: "k"}, ""},
		"nothing":              {SignInConfig{}, "connection_string: is missing"},
		"no device":            {SignInConfig{Host: "h", Key: testKey}, "device_id: "},
		"bad host":             {SignInConfig{Host: "https://h", DeviceID: "d", Key: testKey}, "want a host name"},
		"no proof":             {SignInConfig{Host: "h", DeviceID: "d"}, "key: is missing; want it, or certificate_file"},
		"two proofs":           {SignInConfig{Host: "h", DeviceID: "d", Key: testKey, CertificateFile: "c", KeyFile: "k"}, "want one of them only"},
		"half a certificate":   {SignInConfig{Host: "h", DeviceID: "d", CertificateFile: "c"}, "key_file: is missing"},
		"the other half":       {SignInConfig{Host: "h", DeviceID: "d", KeyFile: "k"}, "certificate_file: is missing"},
		"key is no base64":     {SignInConfig{Host: "h", DeviceID: "d", Key: "c2Vjcm"}, "key: is not base64"},
		"string and host":      {SignInConfig{ConnectionString: "HostName=h;DeviceId=d;SharedAccessKey=" + testKey, Host: "h"}, "want it alone"},
		"string and key":       {SignInConfig{ConnectionString: "HostName=h;DeviceId=d;SharedAccessKey=" + testKey, Key: testKey}, "holds the key"},
		"x509 string and key":  {SignInConfig{ConnectionString: "HostName=h;DeviceId=d;x509=true", Key: testKey}, "key: stands beside"},
		"x509 string, no file": {SignInConfig{ConnectionString: "HostName=h;DeviceId=d;x509=true"}, "certificate_file: is missing"},
	} {
		var f faults
		s := tc.c.signIn("8883", &f)
		err := errors.Join(f...)
		if tc.want == "" && (err != nil || s.name() != "h/d") || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if err != nil && (strings.Contains(err.Error(), testKey) || strings.Contains(err.Error(), "c2Vj")) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}
