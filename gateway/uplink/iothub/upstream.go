package iothub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// Parts are what an upstream works with. Clock is required.
type Parts struct {
	Clock clock.Clock
	// Inbox takes the commands.
	Inbox Inbox
	// Twin is what the hub shows and sets of the gateway; nil: nothing.
	Twin Twin
	// CA stands in for ca_file; nil: nothing does. A connection with a Twin is
	// made anew when it changes, and proves it.
	CA     *mqtt.Replacement
	Log    *slog.Logger
	Health *health.Board
	// DataDir holds what has to outlive a restart; empty: nothing does.
	DataDir string
}

// Inbox takes in both kinds of commands: those that are acknowledged, and those
// that are answered.
type Inbox interface {
	uplink.Inbox
	Caller
}

// Upstream is one device of one hub.
type Upstream struct {
	config Config
	parts  Parts
	signIn signIn
	intake uplink.Intake
	line   *line
	trust  *mqtt.Trust
	labels labels
	// oddities are reported once in the life of the program.
	retained, foreign sync.Once
}

// New checks the config and connects nothing.
func New(c Config, p Parts) (*Upstream, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("upstream iothub: %w", err)
	}
	p.Log = cmp.Or(p.Log, slog.New(slog.DiscardHandler))
	p.Health = cmp.Or(p.Health, health.NewBoard(p.Log))
	u := &Upstream{
		config: c, parts: p, intake: uplink.Intake{Inbox: p.Inbox, Log: p.Log},
		signIn: c.signIn(new(faults)), // Validate has told the faults
		labels: newLabels(c.LabelConfig), line: newLine(c), trust: newTrust("hub", c, p),
	}
	if board, ok := u.signIn.locator.(*provisioned); ok {
		board.attach(u)
	}
	return u, nil
}

// Name is the hub and the device.
func (u *Upstream) Name() string { return "iothub " + u.signIn.name() }

// Window is how many messages may be in flight.
func (u *Upstream) Window() int { return u.config.InFlight }

// CountWith makes m count what passes.
func (u *Upstream) CountWith(m *uplink.Meter) { u.line.meter = m }

// Connect signs in, which needs the time of day, and subscribes to commands.
func (u *Upstream) Connect(ctx context.Context) (uplink.Session, error) {
	s, err := u.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Name(), err)
	}
	return s, nil
}

func (u *Upstream) connect(ctx context.Context) (*session, error) {
	if !u.parts.Clock.Trusted() {
		return nil, fmt.Errorf("the clock of this board is not set yet, and a hub takes no token of another time; check NTP or GPS: %w", uplink.ErrNotReady)
	}
	lease := newLease(u.parts.Clock.Now(), u.config.TokenTTL)
	l, err := u.signIn.login(ctx, lease.expires())
	if err != nil {
		return nil, err
	}
	u.judge(l.certificate)
	s := newSession(u, l.device)
	conn, err := u.dial(ctx, l, s)
	u.signIn.settle(err)
	if err != nil {
		s.endWork() // there is no connection
		return nil, u.explain(err)
	}
	s.open(conn, lease)
	if err := s.start(ctx); err != nil {
		_ = s.Close(ctx) // the error that counts is that of the subscription
		return nil, err
	}
	return s, nil
}

func (u *Upstream) dial(ctx context.Context, l login, s *session) (*mqtt.Conn, error) {
	return u.line.dial(ctx, l.endpoint, u.trust, l.proof, mqtt.Options{
		KeepAlive: u.config.KeepAlive, ClientID: l.device, Username: l.userName(), OnMessage: s.receive,
	})
}

func (u *Upstream) explain(err error) error {
	if errors.Is(err, uplink.ErrRefused) {
		return fmt.Errorf("check that the device is enabled in the hub, its name, %s: %w",
			u.signIn.hint(), err) // the same each time, so that the health condition is logged once
	}
	return err
}
