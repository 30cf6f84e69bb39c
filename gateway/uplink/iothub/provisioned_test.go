package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/hubsim"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// TestGroupKeyAtTheSimulator: the whole way with the key of a group, as a board
// that nobody has entered into a hub.
func TestGroupKeyAtTheSimulator(t *testing.T) {
	sim, err := hubsim.Start(t.Context(), hubsim.Options{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	info := sim.Info()
	h := startHub(t) // for its parts only
	h.config.CAFile = info.CA
	h.config.SignInConfig = SignInConfig{Provisioning: &ProvisioningConfig{
		IDScope: info.DPS.IDScope, RegistrationID: "board-7", GroupKey: config.Secret(info.DPS.GroupKey), Endpoint: info.DPS.Endpoint,
	}}
	h.dataDir = t.TempDir()
	s, err := h.upstream().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close(s)
	h.registersByWebSocket(info.HTTPS)
	r, err := s.Publish(t.Context(), gateway.Message{ID: gateway.MessageID{Store: "s", Lane: "l", Seq: 1}, Kind: "k"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, r.Done())
	if a, err := readAssignment(filepath.Join(h.dataDir, "assignment.json")); err != nil || a.Device != "board-7" {
		t.Errorf("kept: %+v, %v", a, err)
	}
}

// registersByWebSocket asks the service, which names a hub without WebSockets.
func (h *hub) registersByWebSocket(https string) {
	h.t.Helper()
	_, port, _ := net.SplitHostPort(https)
	own := *h.config.Provisioning
	own.Endpoint = "localhost:" + port
	c := h.config
	c.Transport, c.Provisioning = overWebSocket, &own
	u, err := New(c, Parts{Clock: h.clock})
	if err != nil {
		h.t.Fatal(err)
	}
	if id, err := u.signIn.locate(h.t.Context()); err != nil || id.device != "board-7" {
		h.t.Errorf("by WebSocket: %+v, %v", id, err)
	}
}

// The key was computed with Python's hmac.
func TestDerivedKey(t *testing.T) {
	group, err := parseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := parseKey("DQn4G9Mlnq7SxcWEiIfGgGSYdBVk3ecCekE+3KLt7Lc=")
	if got := group.derive("greenhouse-7"); string(got) != string(want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestRenewedCertificate: the service is told of it at once, once. If it cannot
// be reached, the hub may know the certificate by its CA.
func TestRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	leaf, c := deviceFiles(t, dir, time.Now().Add(time.Hour))
	h := startX509Hub(t, leaf)
	d := startDPS(t, h, assigned(h.address))
	d.use(c)
	h.dataDir = t.TempDir()
	h.mustConnect(h.upstream())
	for range 2 {
		leaf, _ = deviceFiles(t, dir, time.Now().Add(time.Hour))
		h.set(func() { h.thumbprint = leaf.Raw })
		u := h.upstream() // a restart
		h.mustConnect(u)
		h.mustConnect(u)
	}
	if n := d.count(); n != 3 {
		t.Errorf("%d questions for 3 certificates", n)
	}
	leaf, _ = deviceFiles(t, dir, time.Now().Add(time.Hour))
	h.set(func() { h.thumbprint = leaf.Raw })
	d.say(reply{"401/?$rid=R", `{"errorCode":401002,"message":"no"}`})
	u := h.upstream()
	h.mustConnect(u)
	h.mustConnect(u)
	if n := d.count(); n != 1 {
		t.Errorf("%d questions for a certificate that the service refuses, want 1", n)
	}
	d.close()
	h.mustConnect(h.upstream())
}

func TestDoubt(t *testing.T) {
	refused := fmt.Errorf("x: %w", uplink.ErrRefused)
	missing := fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}})
	noResolver := fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "timeout", IsTimeout: true}})
	behind := fmt.Errorf("x: %w", mqtt.ErrBehindProxy)
	unreachable := errors.New("no route to host")
	type step struct {
		minute int
		err    error
		due    bool
	}
	for name, steps := range map[string][]step{
		"refused thrice":             {{0, refused, false}, {1, refused, false}, {2, refused, true}},
		"an outage between":          {{0, refused, false}, {1, unreachable, false}, {2, refused, false}, {3, refused, true}},
		"works between":              {{0, refused, false}, {1, refused, false}, {2, nil, false}, {3, refused, false}},
		"the name is gone":           {{0, missing, false}, {9, missing, false}, {10, missing, true}},
		"no resolver":                {{0, noResolver, false}, {60, noResolver, false}},
		"no resolver between":        {{0, missing, false}, {5, noResolver, false}, {10, missing, true}},
		"found between":              {{0, missing, false}, {5, unreachable, false}, {10, missing, false}, {20, missing, true}},
		"unreachable":                {{0, unreachable, false}, {600, unreachable, false}},
		"a proxy does not get there": {{0, behind, false}, {10, behind, true}},
	} {
		start := time.Now()
		var d doubt
		for _, s := range steps {
			now := start.Add(time.Duration(s.minute) * time.Minute)
			d.note(s.err, now)
			if due := d.due(now); due != s.due {
				t.Errorf("%s: due %v at minute %d", name, due, s.minute)
			}
		}
	}
}

// TestDoubtIsPatient: questions that do not help become rare, whatever is wrong.
func TestDoubtIsPatient(t *testing.T) {
	now := time.Now()
	var d doubt
	questions, last := 0, 0
	for minute := range 7 * 24 * 60 { // a week of a refusal a minute
		now = now.Add(time.Minute)
		d.note(uplink.ErrRefused, now)
		if d.due(now) {
			d.asked(now, true)
			questions++
			last = minute
		}
	}
	if questions > 60 || last < 6*24*60 {
		t.Errorf("%d questions in a week, the last in minute %d", questions, last)
	}
	d.note(nil, now)
	if d.patience != 0 {
		t.Error("a connection that works does not restore the first patience")
	}
	// A service that is not there is asked again as soon as before.
	for range 3 {
		d.note(uplink.ErrRefused, now)
	}
	d.asked(now, false)
	for range 3 {
		d.note(uplink.ErrRefused, now)
	}
	if !d.due(now) {
		t.Error("patient with a service that has not answered")
	}
}

// TestHubWithoutName: a hub that was deleted, name and all, is asked about.
func TestHubWithoutName(t *testing.T) {
	h := startHub(t)
	d := startDPS(t, h, assigned("gone.invalid"))
	d.use(SignInConfig{Key: testKey})
	u := h.upstream()
	p := u.signIn.locator.(*provisioned)
	now := time.Now()
	p.now = func() time.Time { return now }
	if id, err := p.locate(t.Context()); err != nil || id.host != "gone.invalid" {
		t.Fatal(id, err)
	}
	d.say(assigned(h.address))
	for range 5 {
		p.settle(&net.DNSError{Err: "no such host", Name: "gone.invalid", IsNotFound: true})
		if _, err := p.locate(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(4 * time.Minute)
	}
	if n := d.count(); n != 1 { // the first; patience is two after it
		t.Errorf("%d questions within 20 minutes, want 1", n)
	}
	now = now.Add(time.Minute)
	h.mustConnect(u)
}

// TestBadAssignmentFile: it is as good as none.
func TestBadAssignmentFile(t *testing.T) {
	h := startHub(t)
	d := startDPS(t, h, assigned(h.address))
	d.use(SignInConfig{Key: testKey})
	h.dataDir = t.TempDir()
	file := filepath.Join(h.dataDir, "assignment.json")
	foreign, _ := json.Marshal(assignment{Version: 1, Service: d.address, Scope: "0ne2", Registration: "d1", Hub: "other.example", Device: "d1"})
	for _, content := range []string{"", "{", `{"v":2}`, strings.Repeat(" ", maxAssignmentBytes+1), string(foreign)} {
		write(t, file, []byte(content))
		h.mustConnect(h.upstream())
		if n := d.count(); n != 1 {
			t.Errorf("%.20q: the service was asked %d times, want once", content, n)
		}
	}
	if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), h.address) {
		t.Errorf("kept: %s, %v", data, err)
	}
}

func TestProvisioningConfig(t *testing.T) {
	dps := func(group config.Secret, endpoint string) *ProvisioningConfig {
		return &ProvisioningConfig{IDScope: "0ne1", RegistrationID: "r", GroupKey: group, Endpoint: endpoint}
	}
	for name, tc := range map[string]struct {
		c    SignInConfig
		want string
	}{
		"group":            {SignInConfig{Provisioning: dps(testKey, "")}, ""},
		"individual":       {SignInConfig{Provisioning: dps("", "h:1"), Key: testKey}, ""},
		"certificate":      {SignInConfig{Provisioning: dps("", ""), CertificateFile: "c", KeyFile: "k"}, ""},
		"no proof":         {SignInConfig{Provisioning: dps("", "")}, "or provisioning.group_key"},
		"two proofs":       {SignInConfig{Provisioning: dps(testKey, ""), Key: testKey}, "provisioning.group_key: stands beside"},
		"beside a hub":     {SignInConfig{Provisioning: dps(testKey, ""), Host: "h"}, "provisioning: stands beside a hub"},
		"bad endpoint":     {SignInConfig{Provisioning: dps(testKey, "https://x"), Host: ""}, "provisioning.endpoint: "},
		"key is no base64": {SignInConfig{Provisioning: dps("c2Vjcm", "")}, "provisioning.group_key: is not base64"},
		"own key is none":  {SignInConfig{Provisioning: dps("", ""), Key: "c2Vjcm"}, "key: is not base64"},
	} {
		var f faults
		tc.c.signIn("8883", &f)
		err := errors.Join(f...)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func FuzzDPSAnswer(f *testing.F) {
	f.Add("$dps/registrations/res/202/?$rid=1&retry-after=3", []byte(assigning.body))
	f.Add("$dps/registrations/res/200/?$rid=1", []byte(assigned("h.azure-devices.net").body))
	f.Add("$dps/registrations/res/401/?$rid=1", []byte(`{"errorCode":401002,"message":"x"}`))
	f.Fuzz(func(t *testing.T, topic string, body []byte) {
		a, err := parseDPSAnswer(topic, body)
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		if a.retryAfter < minRetryAfter || a.retryAfter > maxRetryAfter || strings.ContainsAny(a.Operation, "/?&#+") {
			t.Errorf("accepted %+v", a)
		}
		_, _ = a.outcome()
	})
}

func FuzzAssignment(f *testing.F) {
	f.Add([]byte(`{"v":1,"service":"s:1","id_scope":"0ne1","registration_id":"r","hub":"h","device":"d"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAssignment(data)
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		if id, err := newIdentity(a.Hub, a.Device, "8883"); err != nil || id.dial == "" {
			t.Errorf("accepted %+v: %v", a, err)
		}
	})
}
