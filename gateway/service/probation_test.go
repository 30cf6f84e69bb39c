package service

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// caDesk is a rig with a hub that is verified, or not, at each connection.
type caDesk struct {
	*remoteRig
	dir   string
	trust *mqtt.Trust
	hub   string // the certificate of the hub, which is its own CA
}

func withCAs(t *testing.T, body func(t *testing.T, d *caDesk)) {
	t.Helper()
	dir := t.TempDir()
	remotely(t, func(t *testing.T, r *remoteRig) {
		d := &caDesk{remoteRig: r, dir: dir, hub: certificatePEM(t, "first", true, time.Now().Add(24*time.Hour))}
		d.install(d.hub)
		d.reboot()
		d.connect(true)
		body(t, d)
	})
}

// install puts a bundle in the place of ca_file.
func (d *caDesk) install(bundle string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, "ca.pem"), []byte(bundle), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// reboot is a kill and a start, with the memory gone.
func (d *caDesk) reboot() {
	d.restart()
	d.trust = mqtt.NewTrust(mqtt.TrustOptions{
		Bundle: filepath.Join(d.dir, "ca.pem"), Copy: filepath.Join(d.dir, "copy.pem"),
		Replacement: d.ca, Proves: true, Condition: "ca-file:hub", Health: d.health,
	})
}

// connect tries one connection, and says whether it must work.
func (d *caDesk) connect(want bool) {
	d.t.Helper()
	settings, settle, err := d.trust.TLS("hub")
	if err != nil {
		d.t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(d.hub))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		d.t.Fatal(err)
	}
	_, err = c.Verify(x509.VerifyOptions{Roots: settings.RootCAs})
	if (err == nil) != want {
		d.t.Errorf("verified: %v, want %v", err, want)
	}
	if err == nil {
		err = settings.VerifyConnection(tls.ConnectionState{})
	} else {
		err = &tls.CertificateVerificationError{Err: err}
	}
	settle(err)
	synctest.Wait()
}

func (d *caDesk) wantCA(want bool) {
	d.t.Helper()
	if got := d.Status().CA; got != want {
		d.t.Errorf("CAs of the hub are in force: %v", got)
	}
}

func (d *caDesk) wantCondition(want bool) {
	d.t.Helper()
	got := false
	for _, c := range d.health.Conditions() {
		got = got || c.Code == conditionRolledBack
	}
	if got != want {
		d.t.Errorf("condition %s: %v", conditionRolledBack, got)
	}
}

const noNewConnection = "there was no new connection that could prove their CAs"

func TestCAsAreProvedByAConnection(t *testing.T) {
	withCAs(t, func(t *testing.T, d *caDesk) {
		next := certificatePEM(t, "next", true, time.Now().Add(48*time.Hour))
		both := caJSON(t, map[string]string{"1": d.hub, "2": next})
		d.desire(2, both)
		d.want(SettingsApplied, 2, true)
		time.Sleep(time.Hour)
		d.want(SettingsRolledBack, 2, false, noNewConnection)
		d.wantCA(false)
		d.wantCondition(true)
		d.desire(3, `{}`)
		d.wantCondition(false)
		d.desire(4, both)
		d.connect(true)
		time.Sleep(4 * time.Minute)
		d.want(SettingsApplied, 4, true)
		time.Sleep(time.Hour)
		d.want(SettingsApplied, 4, false)
		d.hub = next
		d.reboot()
		d.wantCA(true)
		d.connect(true)
		d.desire(5, caJSON(t, "# as a file\n"+next)) // one of them less
		d.connect(true)
		d.desire(6, caJSON(t, map[string]string{"a": next})) // the same in other words
		if d.trust.Outdated() {
			t.Error("nothing is new, and a connection is wanted")
		}
		time.Sleep(24 * time.Hour) // the first would have ended
		d.want(SettingsApplied, 6, false)
		d.desire(7, `{}`) // ca_file has the first alone
		d.connect(false)
		d.want(SettingsApplied, 7, true)
		d.connect(true)
		d.want(SettingsRolledBack, 7, false, "the hub cannot be verified with the CAs that would count")
		d.wantCA(true)
	})
}

func TestCAsThatFail(t *testing.T) {
	withCAs(t, func(t *testing.T, d *caDesk) {
		wrong := caJSON(t, certificatePEM(t, "wrong", true, time.Now().Add(time.Hour)))
		const reason = "the hub cannot be verified with the CAs that would count: tls: failed to verify certificate"
		d.desire(2, wrong)
		d.connect(false)
		d.want(SettingsApplied, 2, true) // the hub itself may be at fault
		d.connect(true)
		d.want(SettingsRolledBack, 2, false, reason)
		<-d.Changed()
		d.wantCA(false)
		d.wantCondition(true)
		d.reboot()
		d.wantCondition(true)
		d.desire(3, wrong)
		d.want(SettingsRolledBack, 3, false, reason)
		d.connect(true)
		d.desire(4, `{}`)
		d.wantCondition(false)

		d.desire(5, wrong) // and killed before, and after, it is tried
		d.reboot()
		d.want(SettingsApplied, 5, true)
		d.wantCA(true)
		d.connect(false)
		d.reboot()
		d.connect(false)
		d.connect(true)
		d.want(SettingsRolledBack, 5, false, reason)
		d.reboot()
		d.connect(true)
		d.wantCA(false)
	})
}

// What becomes of ca_file on disk is not held against settings without CAs.
func TestSettingsAndABadCAFile(t *testing.T) {
	withCAs(t, func(t *testing.T, d *caDesk) {
		d.install(certificatePEM(t, "wrong", true, time.Now().Add(time.Hour)))
		d.connect(false)
		d.connect(true)
		d.desire(2, fastAir)
		time.Sleep(time.Hour)
		d.want(SettingsApplied, 2, false)
		d.wantPaces(paces{"air": pipeline.Pace{Every: time.Second, Enabled: true}})
	})
}

// A CA that ends while it is in force counts on, so that nothing else of the
// settings falls with it; it is not taken anew.
func TestCAsThatEnd(t *testing.T) {
	withCAs(t, func(t *testing.T, d *caDesk) {
		old := caJSON(t, map[string]string{"1": d.hub, "2": certificatePEM(t, "old", true, time.Now().Add(time.Hour))})
		d.desire(2, old)
		d.connect(true)
		time.Sleep(2 * time.Hour)
		d.desire(3, old)
		d.want(SettingsApplied, 3, false)
		d.reboot()
		d.wantCA(true)
		d.desire(4, `{}`)
		d.desire(5, old)
		d.want(SettingsRejected, 5, false, `the certificate of "CN=old" ended on`)
	})
}

// Settings that are lost with their file leave what has worked: there is a copy.
func TestCAsWhoseSettingsAreTorn(t *testing.T) {
	withCAs(t, func(t *testing.T, d *caDesk) {
		next := certificatePEM(t, "next", true, time.Now().Add(48*time.Hour))
		wanted := caJSON(t, next)
		d.hub = next
		d.desire(2, wanted)
		d.connect(true)
		time.Sleep(time.Hour)
		if err := os.WriteFile(d.file, make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		d.reboot()
		d.wantCA(false)
		d.connect(false)
		d.connect(true)
		d.desire(2, wanted)
		if d.trust.Outdated() {
			t.Error("what is wanted is at work, and a connection is wanted")
		}
		time.Sleep(time.Hour)
		d.want(SettingsApplied, 2, false)
	})
}
