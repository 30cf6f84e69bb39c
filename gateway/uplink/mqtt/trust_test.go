package mqtt_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// field is a board whose bundle is replaced, and two servers, each with a CA of
// its own.
type field struct {
	t            *testing.T
	dir          string
	board        *health.Board
	trust        *mqtt.Trust
	options      mqtt.TrustOptions // from the next restart on
	first, other string            // addresses
	firstCA      string            // files
	otherCA      string
}

func newField(t *testing.T) *field {
	f := &field{t: t, dir: t.TempDir(), board: health.NewBoard(slog.New(slog.DiscardHandler))}
	var secure *tls.Config
	secure, f.firstCA = certificate(t, time.Now().Add(time.Hour))
	f.first, _ = startBroker(t, &hook{}, secure)
	secure, f.otherCA = certificate(t, time.Now().Add(time.Hour))
	f.other, _ = startBroker(t, &hook{}, secure)
	f.options = mqtt.TrustOptions{Bundle: f.bundle(), Copy: f.kept(), Condition: "ca-file:hub", Health: f.board}
	f.restart()
	return f
}

func (f *field) bundle() string { return filepath.Join(f.dir, "ca.pem") }
func (f *field) kept() string   { return filepath.Join(f.dir, "data", "ca-hub.pem") }

func (f *field) restart() { f.trust = mqtt.NewTrust(f.options) }

// install puts the content of a file in the place of the bundle.
func (f *field) install(file string) {
	f.t.Helper()
	f.write(f.bundle(), read(f.t, file))
}

func (f *field) write(file, content string) {
	f.t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (f *field) connect(address string) error {
	f.t.Helper()
	settings, settle, err := f.trust.TLS("localhost")
	if err != nil {
		return err
	}
	c, err := mqtt.Dial(f.t.Context(), mqtt.Options{Address: address, TLS: settings, ClientID: "c1"})
	settle(err)
	if err == nil {
		closeConn(f.t, c)
	}
	return err
}

func (f *field) expect(what, address string, works bool, condition string) {
	f.t.Helper()
	if err := f.connect(address); (err == nil) != works {
		f.t.Errorf("%s: error %v", what, err)
	}
	stands := ""
	for _, c := range f.board.Conditions() {
		stands = c.Code + " " + c.Summary
	}
	if condition == "" && stands != "" || !strings.Contains(stands, condition) {
		f.t.Errorf("%s: condition %q, want %q", what, stands, condition)
	}
}

const fallback = "ca-file:hub the server cannot be verified with the new ca_file"

// TestBundleOnProbation: a bundle that is replaced counts if it works, else the
// last one that worked does, which has a copy.
func TestBundleOnProbation(t *testing.T) {
	f := newField(t)
	f.install(f.firstCA)
	f.expect("the first bundle", f.first, true, "")
	f.install(f.otherCA)
	f.expect("nobody answers", unused(t), false, "")
	f.expect("a new one that does not work", f.first, false, fallback)
	f.expect("the copy", f.first, true, fallback)
	f.expect("the copy again", f.first, true, fallback)
	f.restart()
	f.expect("it gets one chance in a run", f.first, false, fallback)
	f.expect("the copy after it", f.first, true, fallback)

	f.expect("the server changes to the new CA: the copy", f.other, false, fallback)
	f.expect("the server changes to the new CA: the bundle", f.other, true, "")
	if read(t, f.kept()) != read(t, f.otherCA) {
		t.Error("what works has no copy")
	}
	f.write(f.bundle(), read(t, f.firstCA)+read(t, f.otherCA))
	f.expect("both in one", f.first, true, "")
	f.expect("both in one", f.other, true, "")
}

func TestBundleIsBroken(t *testing.T) {
	f := newField(t)
	f.write(f.bundle(), "nothing")
	if err := f.connect(f.first); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("a first bundle that is none: error %v, want ErrInvalid", err)
	}
	f.install(f.firstCA)
	f.expect("the first bundle", f.first, true, "")
	f.write(f.bundle(), read(t, f.otherCA)[:100])
	f.expect("cut short", f.first, true, "holds no certificate in PEM form: invalid; the last one that worked is used")
	f.restart()
	if err := os.Remove(f.bundle()); err != nil {
		t.Fatal(err)
	}
	f.expect("removed, and restarted", f.first, true, "no such file or directory; the last one that worked is used")
	f.write(f.kept(), "nothing")
	f.restart()
	if err := f.connect(f.first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("neither of them: error %v, want ErrNotExist", err)
	}
	f.install(f.firstCA)
	f.expect("mended", f.first, true, "")
}

// A name that is wrong, and a login that is refused, say nothing against a bundle.
func TestBundleIsNotToBlame(t *testing.T) {
	f := newField(t)
	f.install(f.firstCA)
	f.expect("the first bundle", f.first, true, "")
	f.write(f.bundle(), read(t, f.otherCA)+read(t, f.firstCA))
	settings, settle, err := f.trust.TLS("hub.example")
	if err != nil {
		t.Fatal(err)
	}
	_, err = mqtt.Dial(t.Context(), mqtt.Options{Address: f.first, TLS: settings})
	settle(err)
	if err == nil || !strings.Contains(err.Error(), "check the host name") {
		t.Errorf("wrong name: %v", err)
	}
	f.expect("the new one", f.other, true, "")
	secure, ca := certificate(t, time.Now().Add(time.Hour))
	refusing, _ := startBroker(t, &hook{login: func(*mochi.Client, packets.Packet) bool { return false }}, secure)
	f.install(ca)
	f.expect("refused, but verified", refusing, false, "")
	if read(t, f.kept()) != read(t, ca) {
		t.Error("a bundle that has verified a server is not kept")
	}
}

// TestLongConnectionWithAnOldBundle: requests on a connection that was verified
// before the bundle was replaced say nothing of what is trusted now.
func TestLongConnectionWithAnOldBundle(t *testing.T) {
	f := newField(t)
	f.install(f.firstCA)
	settings, settle, err := f.trust.TLS("localhost")
	if err != nil {
		t.Fatal(err)
	}
	c, err := mqtt.Dial(t.Context(), mqtt.Options{Address: f.first, TLS: settings, ClientID: "long"})
	settle(err)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t, c)
	f.install(f.otherCA)
	f.expect("the new one", f.other, true, "")
	settle(nil)
	if read(t, f.kept()) != read(t, f.otherCA) {
		t.Error("the old bundle has taken the place of the new one, which works")
	}
}

// Without a copy a new bundle counts at once.
func TestBundleWithoutCopy(t *testing.T) {
	f := newField(t)
	f.options.Copy = ""
	f.restart()
	f.install(f.firstCA)
	f.expect("the first bundle", f.first, true, "")
	f.install(f.otherCA)
	f.expect("the new one", f.first, false, "")
	f.expect("the new one", f.other, true, "")
}

// TestCertificatesAreValidAtTheTimeThatIsRight: that of the board may be wrong.
func TestCertificatesAreValidAtTheTimeThatIsRight(t *testing.T) {
	f := newField(t)
	f.install(f.firstCA)
	f.expect("at the time of the board", f.first, true, "")
	f.options.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } // the certificate has ended by then
	f.restart()
	if err := f.connect(f.first); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("two hours later: %v", err)
	}
}
