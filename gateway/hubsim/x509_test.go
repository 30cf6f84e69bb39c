package hubsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// certificate makes one for name that lives that long: of an authority, or its
// own if ca is nil.
func certificate(t testing.TB, name string, life time.Duration, ca *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template, err := certificateTemplate(name, life)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	} else {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if c.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// shows lets a device come with a certificate and without a token.
func (r *rig) shows(id string, c *tls.Certificate) func(*paho.ClientOptions) {
	return func(o *paho.ClientOptions) {
		trust := r.trust()
		trust.Certificates = []tls.Certificate{*c}
		o.SetTLSConfig(trust).SetPassword("").SetClientID(id).SetUsername("localhost/" + id + "/?api-version=2021-04-12")
	}
}

// startWithCA starts a hub that knows an authority of devices.
func startWithCA(t *testing.T) (*rig, *tls.Certificate) {
	t.Helper()
	ca := certificate(t, "CA of the devices", time.Hour, nil)
	file := filepath.Join(t.TempDir(), "devices.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Leaf.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return startRigIn(t, t.TempDir(), Options{DeviceCAs: []string{file}}), ca
}

func TestDevicesWithCertificates(t *testing.T) {
	r, ca := startWithCA(t)
	first, second, third := certificate(t, "any", time.Hour, nil), certificate(t, "any", time.Hour, nil), certificate(t, "any", time.Hour, nil)
	expired := certificate(t, "any", -time.Hour, nil)
	short, _ := thumbprints(first.Leaf)
	_, long := thumbprints(second.Leaf)
	_, late := thumbprints(expired.Leaf)
	var d deviceJSON
	made := r.must("PUT", "/devices/own"+apiVersion, fmt.Sprintf(`{"deviceId":"own","authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":%q,"secondaryThumbprint":%q}}}`, strings.ToLower(short), long))
	if err := json.Unmarshal([]byte(made), &d); err != nil || string(d.Authentication.Thumbprint.Primary) != short || d.Authentication.Type != "selfSigned" || !strings.Contains(made, `"primaryKey":null`) {
		t.Errorf("made %s", made)
	}
	r.must("PUT", "/devices/late"+apiVersion, fmt.Sprintf(`{"deviceId":"late","authentication":{"x509Thumbprint":{"primaryThumbprint":%q}}}`, late))
	r.must("PUT", "/devices/of-ca"+apiVersion, `{"deviceId":"of-ca","authentication":{"type":"certificateAuthority"}}`)
	for name, c := range map[string]struct {
		id     string
		shows  *tls.Certificate
		edit   func(*paho.ClientOptions)
		reason string
	}{
		"SHA-1":                  {id: "own", shows: first},
		"SHA-256, the secondary": {id: "own", shows: second},
		"authority":              {id: "of-ca", shows: certificate(t, "of-ca", time.Hour, ca)},
		"WebSocket": {id: "own", shows: second, edit: func(o *paho.ClientOptions) {
			o.Servers = nil
			o.AddBroker("wss://" + r.Info().HTTPS + "/$iothub/websocket")
		}},
		"other certificate":  {id: "own", shows: third, reason: "is not the device's"},
		"expired":            {id: "late", shows: expired, reason: "is valid from"},
		"no certificate":     {id: "own", shows: &tls.Certificate{}, reason: "there is no certificate"},
		"other authority":    {id: "of-ca", shows: certificate(t, "of-ca", time.Hour, certificate(t, "x", time.Hour, nil)), reason: "is of no authority"},
		"expired, authority": {id: "of-ca", shows: certificate(t, "of-ca", -time.Minute, ca), reason: "has expired"},
		"other name":         {id: "of-ca", shows: certificate(t, "other", time.Hour, ca), reason: "common name"},
		"token instead": {id: "own", shows: first, edit: func(o *paho.ClientOptions) {
			o.SetPassword(sas("localhost", r.secrets.Policies["device"], "device", time.Now().Add(time.Hour)))
		}, reason: "only a certificate is allowed"},
		"certificate instead of a token": {id: "d1", shows: certificate(t, "d1", time.Hour, ca), reason: "there is no token"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := r.dial(c.id, func(o *paho.ClientOptions) {
				r.shows(c.id, c.shows)(o)
				if c.edit != nil {
					c.edit(o)
				}
			})
			if (err == nil) != (c.reason == "") {
				t.Fatalf("error %v, want %q", err, c.reason)
			}
			if err != nil {
				r.says(c.reason)
				return
			}
			p.send("", "x")
			p.Disconnect(10)
		})
	}
	if e := r.events("device=own")[0]; !strings.Contains(e.System["iothub-connection-auth-method"], "x509Certificate") {
		t.Errorf("stamped %v", e.System)
	}
	if twin := r.twin("own"); twin["authenticationType"] != "selfSigned" || !strings.Contains(text(twin["x509Thumbprint"]), long) {
		t.Errorf("twin %s", text(twin))
	}
	for _, body := range []string{
		`{"deviceId":"bad","authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"00"}}}`,
		`{"deviceId":"bad","authentication":{"type":"selfSigned"}}`,
		`{"deviceId":"bad","authentication":{"type":"tpm"}}`,
	} {
		if status, answer := r.call("PUT", "/devices/bad"+apiVersion, body); status != 400 {
			t.Errorf("%s: %d %s, want 400", body, status, answer)
		}
	}
	r = r.restart()
	r.connect("own", r.shows("own", first))
}

// register runs a registration to its end and returns its state.
func (r *rig) register(id, payload string, edit func(*paho.ClientOptions)) map[string]any {
	r.t.Helper()
	p := r.connect("d1", edit)
	defer p.Disconnect(10)
	p.follow(dpsAnswers + "#")
	body := `{"registrationId":"` + id + `"}`
	if payload != "" {
		body = `{"registrationId":"` + id + `","payload":` + payload + `}`
	}
	p.say(dpsRegister+"$rid=1", body)
	operation := object(r.t, string(p.receive().Payload()))
	p.say(fmt.Sprintf("%s$rid=2&operationId=%v", dpsStatus, operation["operationId"]), " ")
	state, _ := object(r.t, string(p.receive().Payload()))["registrationState"].(map[string]any)
	return state
}

// boards lets a board come to the provisioning service with a certificate.
func (r *rig) boards(id string, c *tls.Certificate) func(*paho.ClientOptions) {
	return func(o *paho.ClientOptions) {
		r.shows(id, c)(o)
		o.SetCleanSession(true).SetUsername(r.Info().DPS.IDScope + "/registrations/" + id + "/api-version=2019-03-31")
	}
}

func TestBoardsWithCertificates(t *testing.T) {
	r, ca := startWithCA(t)
	first := certificate(t, "board-1", time.Hour, ca)
	state := r.register("board-1", `{"model":[1]}`, r.boards("board-1", first))
	if state["deviceId"] != "board-1" || state["status"] != "assigned" || text(state["payload"]) != `{"model":[1]}` {
		t.Errorf("registered: %v", state)
	}
	r.connect("board-1", r.shows("board-1", first)).Disconnect(10)
	renewed := certificate(t, "board-1", time.Hour, ca)
	if _, err := r.dial("board-1", r.shows("board-1", renewed)); err == nil {
		t.Error("a certificate that was not registered is let in")
	}
	r.register("board-1", "", r.boards("board-1", renewed))
	r.connect("board-1", r.shows("board-1", renewed)).Disconnect(10)

	own := certificate(t, "board-2", time.Hour, nil)
	enrolled := fmt.Sprintf(`{"registrationId":"board-2","deviceId":"Pump-2","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":%q}}}}}`,
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Leaf.Raw}))
	_, thumbprint := thumbprints(own.Leaf)
	if answer := r.must("PUT", "/enrollments/board-2"+apiVersion, enrolled); !strings.Contains(answer, thumbprint) {
		t.Errorf("enrolled: %s", answer)
	}
	if status, _ := r.call("PUT", "/enrollments/board-2"+apiVersion, enrolled); status != 409 {
		t.Errorf("enrolled twice: %d, want 409", status)
	}
	r = r.restartWith(Options{DeviceCAs: r.options.DeviceCAs})
	if state := r.register("board-2", "", r.boards("board-2", own)); state["deviceId"] != "Pump-2" {
		t.Errorf("registered: %v", state)
	}
	r.connect("Pump-2", r.shows("Pump-2", own)).Disconnect(10)
	for reason, edit := range map[string]func(*paho.ClientOptions){
		"is not the device's": r.boards("board-2", certificate(t, "board-2", time.Hour, ca)),
		"is of no authority":  r.boards("board-3", certificate(t, "board-3", time.Hour, nil)),
		"common name":         r.boards("board-4", first),
	} {
		if _, err := r.dial("d1", edit); err == nil {
			t.Errorf("let in, though %s", reason)
		}
		r.says(reason)
	}
	r.must("DELETE", "/enrollments/board-2"+apiVersion, "")
	if status, _ := r.call("GET", "/enrollments/board-2"+apiVersion, ""); status != 404 {
		t.Errorf("deleted: %d, want 404", status)
	}
}

// Registering again must not change the keys of a device.
func TestRegisteringAgainKeepsKeys(t *testing.T) {
	r := startRig(t)
	scope, key := r.Info().DPS.IDScope, newKey()
	body := fmt.Sprintf(`{"registrationId":"board","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":""}}}`, key)
	r.must("PUT", "/enrollments/board"+apiVersion, body)
	r.register("board", "", r.board("board", key, scope))
	before, _ := r.state.identity("board")
	if before.Primary != key || !validKey(before.Secondary) {
		t.Errorf("made %+v", before)
	}
	r.register("board", "", r.board("board", before.Secondary, scope))
	if after, _ := r.state.identity("board"); after != before {
		t.Errorf("registered again: %+v, was %+v", after, before)
	}
	changed := newKey()
	r.must("PUT", "/devices/board"+apiVersion, fmt.Sprintf(`{"deviceId":"board","authentication":{"symmetricKey":{"primaryKey":%q}}}`, changed), "If-Match", "*")
	r.register("board", "", r.board("board", key, scope))
	if r.key("board") != changed {
		t.Error("a registration has changed the keys")
	}
	r.must("PUT", "/enrollments/board"+apiVersion, strings.Replace(body, `{"reg`, `{"provisioningStatus":"disabled","reg`, 1), "If-Match", `"*"`)
	p := r.connect("d1", r.board("board", key, scope))
	p.follow(dpsAnswers + "#")
	p.say(dpsRegister+"$rid=1", `{"registrationId":"board"}`)
	if m := p.receive(); !strings.HasPrefix(m.Topic(), dpsAnswers+"401/") {
		t.Errorf("disabled: %s %s", m.Topic(), m.Payload())
	}
	for _, bad := range []string{
		`{`, `{"registrationId":"other"}`, `{"registrationId":"board"}`, `{"registrationId":"board","attestation":{"type":"tpm"}}`,
		`{"registrationId":"board","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"AAAA"}}}}}`,
		`{"registrationId":"board","attestation":{"type":"x509","x509":{}}}`,
		`{"registrationId":"board","deviceId":"a b","attestation":{"type":"symmetricKey"}}`,
		`{"registrationId":"board","provisioningStatus":"maybe","attestation":{"type":"symmetricKey"}}`,
	} {
		if status, answer := r.call("PUT", "/enrollments/board"+apiVersion, bad, "If-Match", "*"); status != 400 {
			t.Errorf("%s: %d %s, want 400", bad, status, answer)
		}
	}
}

func FuzzEnrollment(f *testing.F) {
	f.Add([]byte(`{"registrationId":"b","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"MIIB"}}}}}`))
	f.Add([]byte(`{"registrationId":"b","deviceId":"d","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"MDEyMzQ1Njc4OTAxMjM0NQ=="}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := readEnrollment(body, "b")
		if err == nil && (e.ID != "b" || e.Device == "" || e.Primary == "") {
			t.Errorf("%s is taken for %+v", body, e)
		}
	})
}
