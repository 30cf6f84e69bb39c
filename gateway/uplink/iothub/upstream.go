package iothub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// Upstream is one device of one hub.
type Upstream struct {
	config Config
	id     identity
	clock  clock.Clock
	intake uplink.Intake
	log    *slog.Logger
	meter  *uplink.Meter
	labels labels
	// oddities are reported once in the life of the program.
	retained, foreign sync.Once
}

// New checks the config and connects nothing. Commands go to inbox.
func New(c Config, clk clock.Clock, inbox uplink.Inbox, log *slog.Logger) (*Upstream, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("upstream iothub: %w", err)
	}
	id, err := parseConnectionString(c.ConnectionString.Reveal())
	if err != nil {
		return nil, fmt.Errorf("upstream iothub: connection_string: %w", err)
	}
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	return &Upstream{config: c, id: id, labels: newLabels(c.LabelConfig), clock: clk, log: log, intake: uplink.Intake{Inbox: inbox, Log: log}}, nil
}

// Name is the hub and the device.
func (u *Upstream) Name() string { return "iothub " + u.id.host + "/" + u.id.device }

// Window is how many messages may be in flight.
func (u *Upstream) Window() int { return u.config.InFlight }

// CountWith makes m count what passes.
func (u *Upstream) CountWith(m *uplink.Meter) { u.meter = m }

// Connect logs in with a fresh token, which needs the time of day, and
// subscribes to cloud-to-device messages.
func (u *Upstream) Connect(ctx context.Context) (uplink.Session, error) {
	if !u.clock.Trusted() {
		return nil, fmt.Errorf("the clock of this board is not set yet, and a hub takes no token of another time; check NTP or GPS: %w", uplink.ErrNotReady)
	}
	settings, err := mqtt.NewTLS(u.id.serverName, u.config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Name(), err)
	}
	conn, err := mqtt.Dial(ctx, mqtt.Options{
		Address: u.id.dial, TLS: settings, KeepAlive: u.config.KeepAlive,
		ClientID: u.id.device, Username: u.id.userName(),
		Password:  u.id.token(u.clock.Now().Add(u.config.TokenTTL)),
		OnMessage: u.receive, Meter: u.meter,
	})
	if err != nil {
		return nil, u.explain(err)
	}
	if err := conn.Subscribe(ctx, u.id.deviceboundPrefix()+"#"); err != nil {
		_ = conn.Close(ctx) // the error that counts is that of the subscription
		return nil, fmt.Errorf("%s: %w", u.Name(), err)
	}
	return newSession(conn, u.labels, u.id.device, renewAfter(u.config.TokenTTL)), nil
}

func (u *Upstream) explain(err error) error {
	if errors.Is(err, uplink.ErrRefused) {
		return fmt.Errorf("%s: check the key and the device id in connection_string, that the device is enabled in the hub, and that the clock of this board is right: %w",
			u.Name(), err) // the same each time, so that the health condition is logged once
	}
	return fmt.Errorf("%s: %w", u.Name(), err)
}

// renewAfter is when to renew a connection: at 80 to 85 % of its token's life,
// so that a fleet does not renew all at once.
func renewAfter(ttl time.Duration) time.Duration {
	return ttl*80/100 + time.Duration(rand.Int64N(int64(ttl*5/100)+1))
}

// receive takes one message from the hub. What is not acknowledged comes again.
func (u *Upstream) receive(ctx context.Context, m mqtt.Inbound) {
	bag, ok := u.id.cutDevicebound(m.Topic)
	switch {
	case m.Retained:
		u.retained.Do(func() { u.log.Warn("retained messages are ignored, commands must not be retained", "topic", m.Topic) })
	case !ok:
		u.foreign.Do(func() {
			u.log.Warn("messages of other topics are ignored, another program may have subscribed for this device", "topic", m.Topic)
		})
	default:
		cmd, fault := parseDevicebound(bag, m.Payload, u.clock.Now())
		if u.intake.Take(ctx, cmd, fault, m.Payload) != nil {
			return
		}
	}
	m.Ack()
}

// session is a connection that ends before its token does.
type session struct {
	*mqtt.Conn
	labels labels
	device string
	renew  chan struct{}
	timer  *time.Timer
}

func newSession(c *mqtt.Conn, l labels, device string, renewAfter time.Duration) *session {
	s := &session{Conn: c, labels: l, device: device, renew: make(chan struct{})}
	s.timer = time.AfterFunc(renewAfter, func() { close(s.renew) })
	return s
}

// Publish sends a device-to-cloud message.
func (s *session) Publish(_ context.Context, m gateway.Message) (uplink.Receipt, error) {
	topic, err := s.labels.eventTopic(s.device, m)
	if err != nil {
		return nil, err
	}
	return s.Send(uplink.PurposeOf(m.ID.Lane), topic, m.Body)
}

// Renew is closed when the token has most of its life behind it.
func (s *session) Renew() <-chan struct{} { return s.renew }

func (s *session) Close(ctx context.Context) error {
	s.timer.Stop()
	return s.Conn.Close(ctx)
}
