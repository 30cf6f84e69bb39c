package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// Parts are what an upstream works with. GatewayID and Clock are required.
type Parts struct {
	// GatewayID goes into topics.
	GatewayID string
	Clock     clock.Clock
	// Inbox takes the commands.
	Inbox  uplink.Inbox
	Log    *slog.Logger
	Health *health.Board
	// DataDir holds what has to outlive a restart; empty: nothing does.
	DataDir string
}

// Upstream is one broker.
type Upstream struct {
	config   Config
	endpoint endpoint
	proxy    *mqtt.Proxy
	trust    *mqtt.Trust // nil: no TLS
	clientID string
	topics   topics
	clock    clock.Clock
	intake   uplink.Intake
	log      *slog.Logger
	meter    *uplink.Meter
	// oddities are reported once in the life of the program.
	retained, foreign sync.Once
}

// New checks the config and connects nothing.
func New(c Config, p Parts) (*Upstream, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("upstream mqtt: %w", err)
	}
	if p.GatewayID == "" || strings.ContainsAny(p.GatewayID, "/+#{}\x00") {
		return nil, fmt.Errorf("upstream mqtt: the gateway id %.40q cannot be part of a topic: %w", p.GatewayID, gateway.ErrInvalid)
	}
	place, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("upstream mqtt: url: %w", err)
	}
	proxy, err := mqtt.ParseProxy(c.Proxy.Reveal())
	if err != nil {
		return nil, fmt.Errorf("upstream mqtt: proxy: %w", err)
	}
	t, _ := c.topics(p.GatewayID) // Validate has told the faults
	p.Log = cmp.Or(p.Log, slog.New(slog.DiscardHandler))
	return &Upstream{
		config: c, endpoint: place, proxy: proxy, trust: newTrust(c, place, p),
		clientID: cmp.Or(c.ClientID, "fieldpost-"+p.GatewayID), topics: t,
		clock: p.Clock, log: p.Log, intake: uplink.Intake{Inbox: p.Inbox, Log: p.Log},
	}, nil
}

// Name is the address of the broker.
func (u *Upstream) Name() string { return "mqtt " + u.endpoint.dial }

// Window is how many messages may be in flight.
func (u *Upstream) Window() int { return u.config.InFlight }

// CountWith makes m count what passes.
func (u *Upstream) CountWith(m *uplink.Meter) { u.meter = m }

// Connect logs in, subscribes to commands and says that the gateway is online.
func (u *Upstream) Connect(ctx context.Context) (uplink.Session, error) {
	s := u.newSession()
	var err error
	if s.Conn, err = u.dial(ctx, s.arrivals); err != nil {
		s.endIntake()
		if errors.Is(err, uplink.ErrRefused) {
			err = fmt.Errorf("check username, password and client_id (now %q), and the access rules of the broker: %w", u.clientID, err)
		}
		return nil, fmt.Errorf("%s: %w", u.Name(), err)
	}
	if err = s.subscribe(ctx); err == nil {
		err = s.announce(ctx, online)
	}
	if err != nil {
		_ = s.finish(ctx) // the error that counts is the one before
		return nil, fmt.Errorf("%s: %w", u.Name(), err)
	}
	return s, nil
}

func (u *Upstream) dial(ctx context.Context, arrivals *uplink.Arrivals) (*mqtt.Conn, error) {
	o := mqtt.Options{
		Address: u.endpoint.dial, WebSocket: u.endpoint.webSocket, Proxy: u.proxy, KeepAlive: u.config.KeepAlive,
		ClientID: u.clientID, Username: u.config.Username, Password: u.config.Password.Reveal(),
		Will:      &mqtt.Will{Topic: u.topics.status, Payload: []byte(offline), Retained: true},
		OnMessage: func(_ context.Context, m mqtt.Inbound) { u.receive(arrivals, m) }, Meter: u.meter,
	}
	if u.trust == nil {
		return mqtt.Dial(ctx, o)
	}
	settings, settle, err := u.trust.TLS(u.endpoint.serverName)
	if err != nil {
		return nil, err
	}
	o.TLS = settings
	conn, err := mqtt.Dial(ctx, o)
	settle(err)
	return conn, err
}

// newTrust is nil without TLS.
func newTrust(c Config, at endpoint, p Parts) *mqtt.Trust {
	if !at.secure {
		return nil
	}
	o := mqtt.TrustOptions{Bundle: c.CAFile, Condition: "ca-file:broker", Now: likely(p.Clock), Health: p.Health, Log: p.Log}
	if p.DataDir != "" {
		o.Copy = filepath.Join(p.DataDir, "ca-broker.pem")
	}
	return mqtt.NewTrust(o)
}

// likely is the time for judging certificates. While nobody knows it, the clock of the
// board is the best guess: brokers, unlike hubs, are reached with it, too.
func likely(c clock.Clock) func() time.Time {
	return func() time.Time {
		if c.Trusted() {
			return c.Now()
		}
		return time.Now()
	}
}

// receive takes one message from the broker. What is not acknowledged comes again.
func (u *Upstream) receive(arrivals *uplink.Arrivals, m mqtt.Inbound) {
	switch {
	case m.Retained:
		u.retained.Do(func() {
			u.log.Warn("retained commands are ignored; publish without retain, and clear the topic", "topic", m.Topic)
		})
	case !strings.HasPrefix(m.Topic+"/", u.topics.commands+"/"):
		u.foreign.Do(func() {
			u.log.Warn("messages of other topics are ignored, this client id has an old subscription", "topic", m.Topic)
		})
	default:
		cmd, fault := u.topics.command(m, u.clock.Now())
		arrivals.Take(uplink.Arrival{Command: cmd, Fault: fault, Raw: m.Payload, Ack: m.Ack})
		return
	}
	arrivals.Pass(m.Ack)
}

// The payloads on the status topic.
const (
	online  = "online"
	offline = "offline"
)

type session struct {
	*mqtt.Conn
	arrivals  *uplink.Arrivals
	endIntake func() // ends the intake of commands and waits for it
	topics    topics
	maxBytes  int
}

func (u *Upstream) newSession() *session {
	s := &session{topics: u.topics, maxBytes: u.config.MaxMessageBytes}
	life, end := context.WithCancel(context.Background())
	s.arrivals = u.intake.Begin(life)
	s.endIntake = func() {
		end()
		s.arrivals.Wait()
	}
	return s
}

// Publish sends a message in its envelope. The result of a command goes to its sender
// too, and before: on one line a broker confirms in order, so that what confirms the
// envelope confirms both.
func (s *session) Publish(_ context.Context, m gateway.Message) (uplink.Receipt, error) {
	payload, err := encode(m)
	if err != nil {
		return nil, err
	}
	if len(payload) > s.maxBytes {
		return nil, fmt.Errorf("%d bytes in its envelope, max_message_bytes is %d: %w", len(payload), s.maxBytes, uplink.ErrTooLarge)
	}
	if topic := s.replyTopic(m); topic != "" {
		if _, err := s.Send(uplink.ForCommands, topic, m.Body); err != nil {
			return nil, err
		}
	}
	return s.Send(uplink.PurposeOf(m.ID.Lane), s.topics.event(m), payload)
}

// replyTopic is where the sender of a command waits for this message; empty: nowhere.
func (s *session) replyTopic(m gateway.Message) string {
	var result struct {
		ReplyTo string `json:"reply_to"`
	}
	if m.Kind != gateway.KindResult || json.Unmarshal(m.Body, &result) != nil || !s.topics.mayReply(result.ReplyTo) {
		return ""
	}
	return result.ReplyTo
}

// subscribe asks for what comes on the topic of commands and below it, by filters that
// do not overlap: else brokers may deliver a message twice.
func (s *session) subscribe(ctx context.Context) error {
	if err := s.Subscribe(ctx, s.topics.commands); err != nil {
		return err
	}
	return s.Subscribe(ctx, s.topics.commands+"/+/#")
}

// announceTimeout bounds the wait for the PUBACK of a presence message.
const announceTimeout = 30 * time.Second

// announce publishes the presence of this gateway and waits for the PUBACK.
func (s *session) announce(ctx context.Context, presence string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, announceTimeout, gateway.ErrTimeout)
	defer cancel()
	r, err := s.Conn.Publish(s.topics.status, []byte(presence), true)
	if err != nil {
		return err
	}
	select {
	case <-r.Done():
		return r.Err()
	case <-s.Done():
		return fmt.Errorf("announce %s: %w: %w", presence, uplink.ErrCutShort, s.Err())
	case <-ctx.Done():
		return fmt.Errorf("announce %s on %s: %w", presence, s.topics.status, context.Cause(ctx))
	}
}

// Close takes the presence back. If that fails it does not say DISCONNECT,
// which would make the broker forget the will: the broker then tells.
func (s *session) Close(ctx context.Context) error {
	if s.Err() == nil {
		stuck := context.AfterFunc(ctx, s.Abort)
		if s.farewell(ctx) != nil {
			s.Abort()
		}
		stuck()
	}
	return s.finish(ctx)
}

// Renew is closed when commands that were left with the broker may come again.
func (s *session) Renew() <-chan struct{} { return s.arrivals.Renew() }

// finish ends the intake first: it can keep the connection from being read.
func (s *session) finish(ctx context.Context) error {
	s.endIntake()
	return s.Conn.Close(ctx)
}

// farewell leaves half of the time for the DISCONNECT.
func (s *session) farewell(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return s.announce(ctx, offline)
}
