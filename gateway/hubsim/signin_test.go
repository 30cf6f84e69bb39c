package hubsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/iothub"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

// writePair puts a certificate and its key into files.
func writePair(t *testing.T, dir string, c *tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "device.pem"), filepath.Join(dir, "device.key")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: c.Leaf.Raw}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// signIn connects the gateway once.
func (r *rig) signIn(transport, data string, c iothub.SignInConfig) error {
	r.t.Helper()
	u, err := iothub.New(iothub.Config{
		SignInConfig: c, CAFile: r.Info().CA, Transport: transport, KeepAlive: time.Minute, TokenTTL: time.Hour,
		InFlight: 8, Tier: "standard", MethodTimeout: 20 * time.Second,
	}, iothub.Parts{Clock: clock.NewSystem(time.Time{}), DataDir: data})
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := u.Connect(r.t.Context())
	if err == nil {
		_ = s.Close(r.t.Context())
	}
	return err
}

func TestGatewayWithCertificate(t *testing.T) {
	r, ca := startWithCA(t)
	own := certificate(t, "any", time.Hour, nil)
	_, thumbprint := thumbprints(own.Leaf)
	r.must("PUT", "/devices/own"+apiVersion, fmt.Sprintf(`{"deviceId":"own","authentication":{"x509Thumbprint":{"primaryThumbprint":%q}}}`, thumbprint))
	r.must("PUT", "/devices/of-ca"+apiVersion, `{"deviceId":"of-ca","authentication":{"type":"certificateAuthority"}}`)
	for device, c := range map[string]*tls.Certificate{"own": own, "of-ca": certificate(t, "of-ca", time.Hour, ca)} {
		for transport, address := range map[string]string{"mqtt": r.Info().MQTT, "websocket": r.Info().HTTPS} {
			signIn := iothub.SignInConfig{Host: "localhost:" + port(address), DeviceID: device}
			signIn.CertificateFile, signIn.KeyFile = writePair(t, t.TempDir(), c)
			if err := r.signIn(transport, "", signIn); err != nil {
				t.Errorf("%s by %s: %v", device, transport, err)
			}
		}
	}
}

// A board that was provisioned with one certificate is let in with the next one,
// since it tells the service of it.
func TestGatewayRenewsItsCertificate(t *testing.T) {
	r, ca := startWithCA(t)
	dir, data := t.TempDir(), t.TempDir()
	signIn := iothub.SignInConfig{Provisioning: &iothub.ProvisioningConfig{
		IDScope: r.Info().DPS.IDScope, RegistrationID: "board-1", Endpoint: r.Info().DPS.Endpoint,
	}}
	for range 2 {
		signIn.CertificateFile, signIn.KeyFile = writePair(t, dir, certificate(t, "board-1", time.Hour, ca))
		if err := r.signIn("mqtt", data, signIn); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGatewayNamesTheCause of each trouble that the hub makes without a word.
func TestGatewayNamesTheCause(t *testing.T) {
	for f, want := range map[fault]string{
		{Kind: faultThrottle}:                    uplink.ConditionThrottled,
		{Kind: faultQuota}:                       uplink.ConditionThrottled,
		{Kind: faultDropPuback}:                  uplink.ConditionThrottled,
		{Kind: faultTakeover, Milliseconds: 700}: uplink.ConditionKicked,
		{Kind: faultRefuse, Code: 3}:             uplink.ConditionUnavailable,
		{Kind: faultRefuse, Code: 5}:             uplink.ConditionRefused,
	} {
		t.Run(fmt.Sprint(f.Kind, f.Code), func(t *testing.T) {
			r := startRig(t)
			f.Count = 1_000_000
			r.faults.add(f)
			board := health.NewBoard(slog.New(slog.DiscardHandler))
			store := &uplinktest.Store{}
			store.Add([]byte("{}"))
			sender, err := uplink.New(uplink.Options{
				Store: store, Upstream: r.upstream(nil), Health: board, AckTimeout: time.Second,
				MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond, OfflineAfter: 10 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			runSender(t, sender)
			eventually(t, "the condition "+want, func() bool { return stands(board, want) })
			r.faults.clear()
			if err := store.WaitLeft(t.Context(), 0); err != nil {
				t.Error(err)
			}
			if want != uplink.ConditionKicked { // that takes a minute
				eventually(t, "the condition is over", func() bool { return len(board.Conditions()) == 0 })
			}
		})
	}
}

// runSender runs it until the test ends.
func runSender(t *testing.T, s *uplink.Sender) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func stands(b *health.Board, code string) bool {
	return slices.ContainsFunc(b.Conditions(), func(c health.Condition) bool { return c.Code == code })
}
