package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/uplink/iothub"
)

// certificatePEM is one that signs itself.
func certificatePEM(t testing.TB, name string, isCA bool, ends time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: ends.Add(-1000 * time.Hour), NotAfter: ends,
		IsCA: isCA, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// caJSON is the JSON of settings with that value of ca.
func caJSON(t testing.TB, ca any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"ca": ca})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseCAs(t *testing.T) {
	now := time.Now()
	first, next := certificatePEM(t, "first", true, now.Add(time.Hour)), certificatePEM(t, "next", true, now.Add(48*time.Hour))
	for name, tc := range map[string]struct {
		ca   any
		want string
	}{
		"one text":            {first + next, first + next},
		"with notes":          {"# first\n" + first + "\n# next\n" + next + "\n", first + next},
		"several texts":       {map[string]string{"b": next, "a": first}, first + next},
		"lines of Windows":    {strings.ReplaceAll(first, "\n", "\r\n"), first},
		"none in the setting": {map[string]string{}, ""},
	} {
		got, faults := greenhouse().parse(fromJSON(t, caJSON(t, tc.ca)), now)
		if string(got.ca) != tc.want || (tc.want == "") != (len(faults) > 0) {
			t.Errorf("%s: %s, %q", name, got.ca, faults)
		}
	}
	ended := fromJSON(t, caJSON(t, first))
	if got, faults := greenhouse().parse(ended, now.Add(2*time.Hour)); got.ca != nil || len(faults) != 1 {
		t.Errorf("ended: %s, %q", got.ca, faults)
	}
	if got, faults := greenhouse().parse(ended, time.Time{}); string(got.ca) != first || faults != nil {
		t.Errorf("ended, and in force: %s, %q", got.ca, faults)
	}
}

func TestFaultsOfCAs(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	good, leaf := certificatePEM(t, "good", true, now.Add(time.Hour)), certificatePEM(t, "gateway", false, now.Add(time.Hour))
	ended := certificatePEM(t, "old", true, now.Add(-time.Hour))
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}))
	for name, tc := range map[string]struct {
		ca    any
		wants []string
	}{
		"a number":       {7, []string{"settings.ca: want certificates in PEM form, as a text or an object of texts"}},
		"a list":         {[]string{good}, []string{"settings.ca: want certificates"}},
		"empty":          {"", []string{"settings.ca: has 0 bytes"}},
		"no text":        {map[string]any{"1": good, "2": 7}, []string{"settings.ca.2: want a text"}},
		"garbage":        {"garbage", []string{"settings.ca: holds no certificate in PEM form"}},
		"cut":            {good + good[:100], []string{"settings.ca: 1 of 2 blocks are no PEM"}},
		"in one line":    {strings.ReplaceAll(good, "\n", ""), []string{"settings.ca: 1 of 1 blocks are no PEM"}},
		"the first, too": {strings.Replace(good, "\nMI", "\n!!", 1) + good, []string{"settings.ca: 1 of 2 blocks are no PEM"}},
		"no certificate": {strings.Replace(good, "\nMI", "\nAA", 1), []string{"settings.ca, block 1: the certificate cannot be read"}},
		"a key":          {good + secret, []string{`settings.ca, block 2: is a "PRIVATE KEY"; want certificates alone`}},
		"too much":       {strings.Repeat(good, 80), []string{"settings.ca: has "}},
		"each is named": {map[string]string{"1": good, "2": leaf, "3": ended, "4": "x"}, []string{
			`settings.ca.2, block 1: the certificate of "CN=gateway" is not one of a CA`,
			`settings.ca.3, block 1: the certificate of "CN=old" ended on 2026-10-31`,
			"settings.ca.4: holds no certificate",
		}},
	} {
		got, faults := greenhouse().parse(fromJSON(t, caJSON(t, tc.ca)), now)
		if got.ca != nil || len(faults) != len(tc.wants) {
			t.Errorf("%s: %d bytes, faults %q", name, len(got.ca), faults)
			continue
		}
		for i, want := range tc.wants {
			if !strings.HasPrefix(faults[i], want) || strings.Contains(faults[i], "c2VjcmV0") {
				t.Errorf("%s: fault %q, want %q", name, faults[i], want)
			}
		}
	}
}

// What a hub takes as one text is enough for two certificates of the usual size,
// and what it takes altogether is never too much.
func TestCAsFitIntoATwin(t *testing.T) {
	if maxCABytes < iothub.MaxTwinBytes {
		t.Errorf("%d bytes are allowed, a hub has %d", maxCABytes, iothub.MaxTwinBytes)
	}
}

func FuzzCAs(f *testing.F) {
	now := time.Now()
	good := certificatePEM(f, "good", true, now.Add(time.Hour))
	f.Add(good)
	f.Add(good[:200] + good)
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
	f.Add(strings.Replace(good, "\nMI", "\nMA", 1))
	f.Fuzz(func(t *testing.T, text string) {
		got, faults := greenhouse().parse(map[string]any{"ca": text}, now)
		if (got.ca == nil) != (len(faults) > 0) {
			t.Errorf("%q, %q", got.ca, faults)
		}
		if got.ca == nil {
			return
		}
		if again, faults := greenhouse().parse(map[string]any{"ca": string(got.ca)}, now); string(again.ca) != string(got.ca) {
			t.Errorf("%q is read as %q, %q", got.ca, again.ca, faults)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(got.ca) {
			t.Errorf("nobody can use %q", got.ca)
		}
	})
}
