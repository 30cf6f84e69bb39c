package mqtt_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

func TestTLS(t *testing.T) {
	server, ca := certificate(t, time.Now().Add(time.Hour))
	addr, _ := startBroker(t, &hook{}, server)
	expired, expiredCA := certificate(t, time.Now().Add(-time.Minute))
	expiredAddr, _ := startBroker(t, &hook{}, expired)
	for _, tc := range []struct{ name, addr, server, ca, want string }{
		{"trusted", addr, "localhost", ca, ""},
		{"unknown CA", addr, "localhost", "", `"CN=Greenhouse CA", which is not trusted here; set ca_file`},
		{"other name", addr, "hub.example", ca, "check the host name"},
		{"expired", expiredAddr, "localhost", expiredCA, "check the clock"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			settings := newTLS(t, tc.server, tc.ca)
			c, err := mqtt.Dial(t.Context(), mqtt.Options{Address: tc.addr, TLS: settings, ClientID: "c1"})
			if err == nil {
				closeConn(t, c)
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	server, ca := certificate(t, time.Now().Add(time.Hour))
	server.MaxVersion = tls.VersionTLS11
	server.MinVersion = tls.VersionTLS10
	addr, _ := startBroker(t, &hook{}, server)
	if _, err := mqtt.Dial(t.Context(), mqtt.Options{Address: addr, TLS: newTLS(t, "localhost", ca)}); err == nil {
		t.Error("connected with TLS 1.1")
	}
}

func TestBadCAFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := mqtt.NewTrust(mqtt.TrustOptions{Bundle: empty}).TLS("localhost"); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	if _, _, err := mqtt.NewTrust(mqtt.TrustOptions{Bundle: empty + "x"}).TLS("localhost"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
}

func newTLS(t *testing.T, server, ca string) *tls.Config {
	t.Helper()
	c, _, err := mqtt.NewTrust(mqtt.TrustOptions{Bundle: ca}).TLS(server)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
