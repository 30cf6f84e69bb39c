package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// server is a broker for the gateway g1.
type server struct {
	mochi.HookBase
	t      *testing.T
	server *mochi.Server
	config Config
	inbox  inbox

	mu     sync.Mutex
	refuse bool
	deny   bool
	grants int // PUBACKs left for events
	events []event
	status chan string // what was published on the status topic
	acked  chan struct{}
}

type event struct{ topic, payload string }

func startServer(t *testing.T) *server {
	return startServerAt(t, listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0"}), "mqtt://")
}

// startWebSocketServer is the same in a WebSocket.
func startWebSocketServer(t *testing.T) *server {
	return startServerAt(t, listeners.NewWebsocket(listeners.Config{ID: "t", Address: freeAddress(t)}), "ws://")
}

// freeAddress is for a listener that does not tell where it listens.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitListener waits until somebody listens: a WebSocket server of mochi is
// told to, and begins later.
func awaitListener(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func startServerAt(t *testing.T, l listeners.Listener, scheme string) *server {
	s := &server{
		t: t, grants: math.MaxInt, status: make(chan string, 100), acked: make(chan struct{}, 100),
		inbox: inbox{got: make(chan gateway.Command, 100), refused: make(chan string, 100)},
	}
	s.server = mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := errors.Join(s.server.AddHook(s, nil), s.server.AddListener(l), s.server.Serve()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.server.Close() })
	awaitListener(t, l.Address())
	s.config = validConfig()
	s.config.URL = scheme + l.Address()
	return s
}

func validConfig() Config {
	return Config{
		URL: "mqtt://localhost", Username: "user", Password: "pass word",
		Topic: "fieldpost/{gateway}/{lane}", CommandTopic: "fieldpost/{gateway}/commands", ResponseTopic: "fieldpost/{gateway}/responses/{id}", StatusTopic: "fieldpost/{gateway}/status",
		KeepAlive: time.Minute, InFlight: 8, MaxMessageBytes: 64 << 10,
	}
}

func (s *server) upstream() *Upstream {
	u, err := New(s.config, Parts{GatewayID: "g1", Clock: clock.NewSystem(time.Time{}), Inbox: s.inbox})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *server) connect() uplink.Session {
	s.t.Helper()
	session, err := s.upstream().Connect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { closeSession(session) })
	return session
}

func closeSession(session uplink.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = session.Close(ctx)
}

// The Broker of the suite.

func (s *server) Upstream() uplink.Upstream { return s.upstream() }
func (s *server) TooLarge() int             { return s.config.MaxMessageBytes }
func (s *server) WithholdAfter(n int)       { s.set(func() { s.grants = n }) }
func (s *server) SendPubacks()              { s.set(func() { s.grants = math.MaxInt }) }
func (s *server) Refuse(refuse bool)        { s.set(func() { s.refuse = refuse }) }

func (s *server) Deny(deny bool) { s.set(func() { s.deny = deny }) }

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) Arrived() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		var envelope struct{ ID string }
		if err := json.Unmarshal([]byte(e.payload), &envelope); err != nil {
			s.t.Error(err)
		}
		ids = append(ids, envelope.ID)
	}
	return ids
}

func (s *server) Cut() {
	for _, cl := range s.server.Clients.GetAll() {
		if !cl.Net.Inline {
			// Not Stop: the broker forgets the will if that comes while it has
			// a packet in hand.
			_ = cl.Net.Conn.Close()
		}
	}
}

// The hooks of mochi.

func (s *server) Provides(b byte) bool {
	hooks := []byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnPacketRead, mochi.OnWillSent}
	return bytes.IndexByte(hooks, b) >= 0
}

func (s *server) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.refuse && cl.ID == "fieldpost-g1" && !pk.Connect.Clean &&
		string(pk.Connect.Username) == "user" && string(pk.Connect.Password) == "pass word"
}

func (s *server) OnACLCheck(_ *mochi.Client, _ string, write bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return write || !s.deny
}

func (s *server) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if pk.TopicName == "fieldpost/g1/status" {
		s.presence(pk)
		return pk, nil
	}
	s.events = append(s.events, event{topic: pk.TopicName, payload: string(pk.Payload)})
	if s.grants--; s.grants < 0 {
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

func (s *server) OnWillSent(_ *mochi.Client, pk packets.Packet) { s.presence(pk) }

func (s *server) presence(pk packets.Packet) {
	if !pk.FixedHeader.Retain {
		s.t.Error("the presence is not retained")
	}
	s.status <- string(pk.Payload)
}

func (s *server) OnPacketRead(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Puback {
		s.acked <- struct{}{}
	}
	return pk, nil
}

type inbox struct {
	got     chan gateway.Command
	refused chan string
}

func (i inbox) Accept(_ context.Context, cmd gateway.Command) error {
	i.got <- cmd
	return nil
}

func (i inbox) Refuse(_ context.Context, cmd gateway.Command, _ []byte, reason string) error {
	i.refused <- strings.Join([]string{cmd.ID, string(cmd.Origin), reason}, " ")
	return nil
}

func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing came within a minute")
	}
	return v
}
