package iothub

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

const testKey = "c2VjcmV0IGtleSBvZiAzMiBieXRlcyBmb3IgdGVzdHM="

type testClock struct {
	untrusted bool
	ahead     time.Duration
}

func (c testClock) Now() time.Time { return time.Now().Add(c.ahead).UTC() }
func (c testClock) Trusted() bool  { return !c.untrusted }

// hub is as much of an IoT Hub as the tests need: it checks who logs in and
// what arrives. For device d1.
type hub struct {
	mochi.HookBase
	t       *testing.T
	server  *mochi.Server
	config  Config
	inbox   *inbox
	clock   testClock
	health  *health.Board
	dataDir string
	address string      // where it listens, as a hub of that name
	secure  *tls.Config // settings of the server, before the first connection

	mu     sync.Mutex
	refuse bool
	deny   bool
	// thumbprint is the certificate by which d1 is known; nil: by its key.
	thumbprint []byte
	grants     int // PUBACKs left
	events     []event
	logins     int
	acked      chan struct{} // one for each PUBACK that came in
	told       chan told
	expires    []time.Time // of the tokens that were shown
}

// told is what the device says beside its events.
type told struct {
	topic, body string
	qos         byte
}

type event struct {
	bag  map[string]string
	body string
}

func startHub(t *testing.T) *hub {
	secure, ca := serverCertificate(t)
	h := &hub{t: t, secure: secure, grants: math.MaxInt, acked: make(chan struct{}, 100), told: make(chan told, 100), inbox: newInbox(), health: health.NewBoard(slog.New(slog.DiscardHandler))}
	h.server = mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0", TLSConfig: secure})
	if err := errors.Join(h.server.AddHook(h, nil), h.server.AddListener(l), h.server.Serve()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.server.Close() })
	_, port, _ := net.SplitHostPort(l.Address())
	h.address = "localhost:" + port
	h.config = Config{
		SignInConfig: SignInConfig{ConnectionString: config.Secret("HostName=" + h.address + ";DeviceId=d1;SharedAccessKey=" + testKey)},
		CAFile:       ca, Transport: overTLS, KeepAlive: time.Minute, TokenTTL: time.Hour, InFlight: 8,
		Tier: tierStandard, MethodTimeout: 30 * time.Second,
	}
	return h
}

func (h *hub) upstream() *Upstream {
	u, err := New(h.config, h.parts())
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

func (h *hub) parts() Parts {
	return Parts{Clock: h.clock, Inbox: h.inbox, Health: h.health, DataDir: h.dataDir}
}

// trust makes the config trust the certificate of another hub too.
func (h *hub) trust(other *hub) {
	h.t.Helper()
	var all []byte
	for _, file := range []string{h.config.CAFile, other.config.CAFile} {
		pem, err := os.ReadFile(file)
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, pem...)
	}
	h.config.CAFile = filepath.Join(h.t.TempDir(), "both.pem")
	write(h.t, h.config.CAFile, all)
}

func (h *hub) connect() uplink.Session {
	h.t.Helper()
	s, err := h.upstream().Connect(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { h.close(s) })
	return s
}

func (h *hub) close(s uplink.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = s.Close(ctx)
}

// The Broker of the suite.

func (h *hub) Upstream() uplink.Upstream { return h.upstream() }
func (h *hub) TooLarge() int             { return MaxMessageBytes }
func (h *hub) WithholdAfter(n int)       { h.set(func() { h.grants = n }) }
func (h *hub) SendPubacks()              { h.set(func() { h.grants = math.MaxInt }) }
func (h *hub) Refuse(refuse bool)        { h.set(func() { h.refuse = refuse }) }

func (h *hub) Deny(deny bool) { h.set(func() { h.deny = deny }) }

func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *hub) Arrived() (ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		ids = append(ids, e.bag["$.mid"])
	}
	return ids
}

func (h *hub) Cut() {
	for _, cl := range h.server.Clients.GetAll() {
		if !cl.Net.Inline {
			cl.Stop(errors.New("cut"))
		}
	}
}

// The hooks of mochi.

func (h *hub) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnPacketRead}, b) >= 0
}

func (h *hub) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logins++
	if cl.ID != "d1" || string(pk.Connect.Username) != "localhost/d1/?api-version=2021-04-12" || pk.Connect.Clean {
		h.t.Errorf("login as %s, user %s, clean %v", cl.ID, pk.Connect.Username, pk.Connect.Clean)
	}
	password := string(pk.Connect.Password)
	if h.thumbprint != nil {
		return !h.refuse && h.proven(password, cl.Net.Conn.(*tls.Conn))
	}
	_, digits, _ := strings.Cut(password, "&se=")
	seconds, _ := strconv.ParseInt(digits, 10, 64)
	expires := time.Unix(seconds, 0)
	h.expires = append(h.expires, expires)
	id := identity{host: "localhost", device: "d1"}
	key, _ := parseKey(testKey)
	return !h.refuse && password == key.token(id.resource(), "", expires) && expires.After(time.Now())
}

func (h *hub) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deny && !write {
		return false
	}
	return strings.HasPrefix(topic, "devices/d1/messages/") || strings.HasPrefix(topic, "$iothub/")
}

func (h *hub) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	if strings.HasPrefix(pk.TopicName, "$iothub/") {
		h.told <- told{topic: pk.TopicName, body: string(pk.Payload), qos: pk.FixedHeader.Qos}
		return pk, packets.CodeSuccessIgnore
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	bag, err := parseBag(strings.TrimPrefix(pk.TopicName, "devices/d1/messages/events/"))
	if err != nil || pk.FixedHeader.Qos != 1 || pk.FixedHeader.Retain {
		h.t.Errorf("published to %s with QoS %d, retain %v: %v", pk.TopicName, pk.FixedHeader.Qos, pk.FixedHeader.Retain, err)
	}
	h.events = append(h.events, event{bag: bag, body: string(pk.Payload)})
	if h.grants--; h.grants < 0 {
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

func (h *hub) OnPacketRead(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Puback {
		h.acked <- struct{}{}
	}
	return pk, nil
}

// inbox passes on what it gets.
type inbox struct {
	got      chan gateway.Command
	refused  chan string
	failed   chan struct{} // one for each Accept that failed
	failures chan error    // the answers to the next Accepts
	// call answers direct methods.
	call func(ctx context.Context, cmd gateway.Command) (gateway.Result, error)
}

func newInbox() *inbox {
	return &inbox{
		got: make(chan gateway.Command, 100), refused: make(chan string, 100),
		failed: make(chan struct{}, 100), failures: make(chan error, 100),
	}
}

func (i *inbox) fail(err error) { i.failures <- err }

func (i *inbox) Accept(_ context.Context, cmd gateway.Command) error {
	select {
	case err := <-i.failures:
		i.failed <- struct{}{}
		return err
	default:
		i.got <- cmd
		return nil
	}
}

func (i *inbox) Refuse(_ context.Context, cmd gateway.Command, _ []byte, reason string) error {
	i.refused <- cmd.ID + " " + string(cmd.Origin) + " " + reason
	return nil
}

// Call refuses nothing; what call returns is the end of the wait.
func (i *inbox) Call(_ context.Context, cmd gateway.Command) (func(context.Context) (gateway.Result, error), error) {
	select {
	case err := <-i.failures:
		return nil, err
	default:
		i.got <- cmd
		return func(ctx context.Context) (gateway.Result, error) { return i.call(ctx, cmd) }, nil
	}
}

func serverCertificate(t *testing.T) (server *tls.Config, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, caFile
}
