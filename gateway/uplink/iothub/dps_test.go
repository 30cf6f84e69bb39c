package iothub

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// dps is a provisioning service that says what the test wants. Board d1 has
// testKey.
type dps struct {
	mochi.HookBase
	t       *testing.T
	hub     *hub // knows certificates
	server  *mochi.Server
	once    sync.Once
	address string

	connections atomic.Int64

	mu     sync.Mutex
	script []reply // left; the last one is for ever
	refuse bool
	logins int
	topics []string // what was asked
}

// reply is the end of a topic, with R for the request id, and a body.
type reply struct{ topic, body string }

func assigned(hub string) reply {
	return reply{"200/?$rid=R", fmt.Sprintf(`{"operationId":"4.op","status":"assigned","registrationState":{"assignedHub":%q,"deviceId":"d1"}}`, hub)}
}

var assigning = reply{"202/?$rid=R&retry-after=1", `{"operationId":"4.op","status":"assigning"}`}

// startDPS serves with the certificate of the hub.
func startDPS(t *testing.T, h *hub, script ...reply) *dps {
	d := &dps{t: t, hub: h, script: script}
	d.server = mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	l := listeners.NewTCP(listeners.Config{ID: "dps", Address: "127.0.0.1:0", TLSConfig: h.secure})
	if err := errors.Join(d.server.AddHook(d, nil), d.server.AddListener(l), d.server.Serve()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	_, port, _ := strings.Cut(l.Address(), ":")
	d.address = "localhost:" + port
	return d
}

// close may be called twice.
func (d *dps) close() { d.once.Do(func() { _ = d.server.Close() }) }

// use makes the hub's config ask this service.
func (d *dps) use(c SignInConfig) {
	c.Provisioning = &ProvisioningConfig{IDScope: "0ne1", RegistrationID: "d1", Endpoint: d.address}
	d.hub.config.SignInConfig = c
}

func (d *dps) say(script ...reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script = script
}

// count is how many boards have logged in since the last count.
func (d *dps) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.logins
	d.logins = 0
	return n
}

func (d *dps) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish}, b) >= 0
}

// OnConnect makes each client id unique for the library: the end of a clean
// session, which comes late, takes the subscriptions of the next one of the same
// id with it.
func (d *dps) OnConnect(cl *mochi.Client, _ packets.Packet) error {
	cl.ID += fmt.Sprint("#", d.connections.Add(1))
	return nil
}

func (d *dps) OnACLCheck(_ *mochi.Client, topic string, _ bool) bool {
	return strings.HasPrefix(topic, "$dps/registrations/")
}

func (d *dps) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logins++
	if pk.Connect.ClientIdentifier != "d1" || string(pk.Connect.Username) != "0ne1/registrations/d1/api-version=2019-03-31" || !pk.Connect.Clean {
		d.t.Errorf("login as %s, user %s, clean %v", pk.Connect.ClientIdentifier, pk.Connect.Username, pk.Connect.Clean)
	}
	password := string(pk.Connect.Password)
	if d.hub.thumbprint != nil {
		return !d.refuse && d.hub.proven(password, cl.Net.Conn.(*tls.Conn))
	}
	query, _ := url.ParseQuery(strings.TrimPrefix(password, "SharedAccessSignature "))
	var expires int64
	_, _ = fmt.Sscan(query.Get("se"), &expires)
	key, _ := parseKey(testKey)
	return !d.refuse && expires > time.Now().Unix() &&
		password == key.token("0ne1/registrations/d1", "registration", time.Unix(expires, 0))
}

// OnPublish answers, for which the test has said how.
func (d *dps) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	path, query, _ := strings.Cut(pk.TopicName, "?$rid=")
	rid, rest, _ := strings.Cut(query, "&")
	d.topics = append(d.topics, path+rest+" "+string(pk.Payload))
	r := d.script[0]
	if len(d.script) > 1 {
		d.script = d.script[1:]
	}
	answer := strings.ReplaceAll(r.topic, "R", rid)
	go func() { _ = d.server.Publish(dpsAnswers+answer, []byte(r.body), false, 1) }()
	return pk, nil
}

func (h *hub) mustConnect(u *Upstream) {
	h.t.Helper()
	s, err := u.Connect(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.close(s)
}

// TestProvisioning: the service is asked as it should be, waited for, and not
// asked again while its word counts, over a restart and with the service gone.
func TestProvisioning(t *testing.T) {
	h := startHub(t)
	busy := reply{"429/?$rid=R&retry-after=1", `{"errorCode":429001,"message":"throttled"}`}
	d := startDPS(t, h, busy, assigning, assigning, assigned(h.address))
	d.use(SignInConfig{Key: testKey})
	h.dataDir = t.TempDir()
	u := h.upstream()
	if u.Name() != "iothub by provisioning 0ne1/d1" {
		t.Errorf("name %s", u.Name())
	}
	h.mustConnect(u)
	h.mustConnect(u)
	const register, status = "$dps/registrations/PUT/iotdps-register/ {\"registrationId\":\"d1\"}", "$dps/registrations/GET/iotdps-get-operationstatus/operationId=4.op  "
	if want := []string{register, register, status, status}; strings.Join(d.topics, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked:\n%s\nwant:\n%s", strings.Join(d.topics, "\n"), strings.Join(want, "\n"))
	}
	if n := d.count(); n != 1 {
		t.Errorf("%d logins at the service, want 1", n)
	}
	d.close()
	h.mustConnect(h.upstream())
}

// TestProvisioningByCertificate: the same certificate is for service and hub.
func TestProvisioningByCertificate(t *testing.T) {
	leaf, c := deviceFiles(t, t.TempDir(), time.Now().Add(time.Hour))
	h := startX509Hub(t, leaf)
	d := startDPS(t, h, assigned(h.address))
	d.use(c)
	h.mustConnect(h.upstream())
}

// TestMovedToAnotherHub: a hub that refuses the board several times is asked
// about, not at once, and more and more seldom as long as that does not help.
func TestMovedToAnotherHub(t *testing.T) {
	h, other := startHub(t), startHub(t)
	d := startDPS(t, h, assigned(h.address))
	d.use(SignInConfig{Key: testKey})
	h.trust(other)
	h.dataDir = t.TempDir()
	u := h.upstream()
	h.mustConnect(u)
	d.count()
	h.Refuse(true)
	refused := func(times, questions int) {
		t.Helper()
		for range times {
			if _, err := u.Connect(t.Context()); !errors.Is(err, uplink.ErrRefused) {
				t.Fatalf("error %v, want ErrRefused", err)
			}
		}
		if n := d.count(); n != questions {
			t.Errorf("%d questions after %d refusals more, want %d", n, times, questions)
		}
	}
	refused(3, 0)
	refused(6, 1)  // it names the same hub
	refused(12, 1) // the second question took six refusals; the third takes twelve
	d.say(assigned(other.address))
	h.mustConnect(u)
	if n := d.count(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
	if a, err := readAssignment(h.dataDir + "/assignment.json"); err != nil || a.Hub != other.address {
		t.Errorf("kept: %+v, %v", a, err)
	}
	h.mustConnect(h.upstream()) // a restart
	if n := d.count(); n != 0 {
		t.Error("asked again")
	}
}

// TestRefusedAndTheServiceIsGone: the last word counts.
func TestRefusedAndTheServiceIsGone(t *testing.T) {
	h := startHub(t)
	d := startDPS(t, h, assigned(h.address))
	d.use(SignInConfig{Key: testKey})
	u := h.upstream()
	h.mustConnect(u)
	d.close()
	h.Refuse(true)
	for range 10 {
		if _, err := u.Connect(t.Context()); !errors.Is(err, uplink.ErrRefused) {
			t.Fatalf("error %v, want that of the hub", err)
		}
	}
	h.Refuse(false)
	h.mustConnect(u)
}

func TestServiceRefuses(t *testing.T) {
	h := startHub(t)
	d := startDPS(t, h, assigned(h.address))
	d.use(SignInConfig{Key: "YW5vdGhlciBrZXk="})
	_, err := h.upstream().Connect(t.Context())
	if !errors.Is(err, uplink.ErrRefused) || !strings.Contains(err.Error(), "check id_scope, registration_id") || strings.Contains(err.Error(), "YW5v") {
		t.Errorf("error %v", err)
	}
}

// TestAnswersOfTheService: each ends in an error that says what to do, and
// nothing is believed that is malformed.
func TestAnswersOfTheService(t *testing.T) {
	h := startHub(t)
	d := startDPS(t, h)
	d.use(SignInConfig{Key: testKey})
	for name, tc := range map[string]struct {
		reply   reply
		want    string
		refused bool
	}{
		"refused":         {reply{"401/?$rid=R", `{"errorCode":401002,"message":"Unauthorized device."}`}, `401 (401002): "Unauthorized device."`, true},
		"disabled":        {reply{"200/?$rid=R", `{"status":"disabled"}`}, "the enrolment is disabled", true},
		"failed":          {reply{"200/?$rid=R", `{"status":"failed","registrationState":{"errorMessage":"no hub"}}`}, `"no hub"; look at the enrolment`, true},
		"no JSON":         {reply{"200/?$rid=R", "<html>"}, "not as expected", false},
		"no status":       {reply{"/?$rid=R", "{}"}, "with status", false},
		"too long":        {reply{"200/?$rid=R", `"` + strings.Repeat("x", maxDPSAnswer) + `"`}, "an answer of", false},
		"no hub":          {assigned(""), "assigned to host", false},
		"hostile hub":     {assigned("evil/../x"), "assigned to host", false},
		"hostile device":  {reply{"200/?$rid=R", `{"status":"assigned","registrationState":{"assignedHub":"h","deviceId":"a/b"}}`}, "assigned to device", false},
		"bad operation":   {reply{"202/?$rid=R", `{"operationId":"a&b/#","status":"assigning"}`}, "with operation", false},
		"foreign topic":   {reply{"x", "{}"}, "an answer on topic", false},
		"status is wrong": {reply{"200/?$rid=R", `{"status":{}}`}, "not as expected", false},
	} {
		d.say(tc.reply)
		_, err := h.upstream().Connect(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, uplink.ErrRefused) != tc.refused {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
	// An answer to another question is none; the right one follows.
	d.say(reply{"200/?$rid=99", `{}`})
	go func() {
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			_ = d.server.Publish(dpsAnswers+"200/?$rid=1", []byte(assigned(h.address).body), false, 1)
		}
	}()
	h.mustConnect(h.upstream())
}
