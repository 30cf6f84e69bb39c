package iothub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// provisioned is the locator of a board that the provisioning service assigns to
// a hub. What it has said counts until the hub speaks against it: the service is
// metered, and need not be reachable at each start.
type provisioned struct {
	scope, registration string
	service             endpoint
	port                string // of hubs that name none

	// From attach.
	credential credential
	line       *line
	trust      *mqtt.Trust
	clock      clock.Clock
	log        *slog.Logger
	file       string           // keeps the assignment; "" keeps nothing
	now        func() time.Time // with its monotonic part

	mu      sync.Mutex
	read    bool // the file was looked at
	current *assignment
	asked   string // the certificate that the service was last asked with
	doubt   doubt
}

// attach gives p what it works with.
func (p *provisioned) attach(u *Upstream) {
	p.credential, p.line = u.signIn.credential, u.line
	p.trust = newTrust("provisioning", u.config, u.parts)
	p.clock, p.log, p.now = u.parts.Clock, u.parts.Log, time.Now
	if u.parts.DataDir != "" {
		p.file = filepath.Join(u.parts.DataDir, "assignment.json")
	}
}

func (p *provisioned) name() string { return "by provisioning " + p.scope + "/" + p.registration }

// locate asks the service if there is no assignment, or reason to doubt it. While
// the service cannot be reached, the last one counts.
func (p *provisioned) locate(ctx context.Context) (identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recall()
	renewed := p.renewed()
	if p.current == nil || renewed || p.doubt.due(p.now()) {
		err := p.ask(ctx)
		if err != nil && (p.current == nil || !renewed && errors.Is(err, uplink.ErrRefused)) {
			return identity{}, err
		}
		if err != nil {
			p.log.Warn("the provisioning service cannot be asked again, its last assignment counts", "hub", p.current.Hub, "error", err)
		}
	}
	return newIdentity(p.current.Hub, p.current.Device, p.port)
}

// renewed reports whether there is a certificate that the service has not seen.
// The hub does not know it either, unless by its CA.
func (p *provisioned) renewed() bool {
	if p.current == nil || p.credential.renewable() {
		return false
	}
	proof, err := p.credential.prove("", "", time.Time{})
	if err != nil {
		return false // the login will tell
	}
	shown := proof.fingerprint()
	return shown != p.current.Certificate && shown != p.asked
}

// ask takes a new assignment.
func (p *provisioned) ask(ctx context.Context) error {
	a, err := p.register(ctx)
	p.doubt.asked(p.now(), err == nil)
	if err != nil {
		return fmt.Errorf("provisioning service %s: %w", p.service.serverName, err)
	}
	if p.current == nil || *p.current != a {
		p.log.Info("assigned by the provisioning service", "hub", a.Hub, "device", a.Device)
	}
	p.current = &a
	if p.file == "" {
		return nil
	}
	if err := a.write(p.file); err != nil {
		p.log.Warn("the assignment to a hub is not kept over a restart", "error", err)
	}
	return nil
}

// recall reads the file once. One that is no good, or of another registration, is
// as good as none.
func (p *provisioned) recall() {
	if p.read || p.file == "" {
		return
	}
	p.read = true
	a, err := readAssignment(p.file)
	if err != nil {
		p.log.Warn("what the provisioning service has said earlier cannot be read, it is asked again", "error", err)
	}
	if a != nil && *a == p.assignment(a.Hub, a.Device, a.Certificate) {
		p.current = a
	}
}

// assignment is one of this registration.
func (p *provisioned) assignment(hub, device, certificate string) assignment {
	return assignment{
		Version: assignmentVersion, Service: p.service.dial, Scope: p.scope, Registration: p.registration,
		Hub: hub, Device: device, Certificate: certificate,
	}
}

func (p *provisioned) settle(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubt.note(err, p.now())
}

// doubt counts what speaks against an assignment: a hub that refuses this board,
// since it was given to another, or one that is gone, name and all.
type doubt struct {
	refusals int
	missing  time.Time // since when the hub is not found; zero: it was
	patience int       // doubles with each question, until a connection works
}

// What makes a question due, times patience. The pauses between refused logins
// are a minute or so.
const (
	doubtRefusals = 3
	doubtMissing  = 10 * time.Minute
	maxPatience   = 64
)

func (d *doubt) note(err error, now time.Time) {
	var dns *net.DNSError
	switch {
	case err == nil:
		*d = doubt{}
	case errors.Is(err, uplink.ErrRefused):
		d.refusals++
		d.missing = time.Time{}
	case errors.As(err, &dns) && !dns.IsNotFound: // the resolver cannot be reached: that says nothing
	case errors.As(err, &dns), errors.Is(err, mqtt.ErrBehindProxy):
		if d.missing.IsZero() {
			d.missing = now
		}
	default:
		d.missing = time.Time{}
	}
}

func (d *doubt) due(now time.Time) bool {
	patience := max(d.patience, 1)
	return d.refusals >= doubtRefusals*patience ||
		!d.missing.IsZero() && now.Sub(d.missing) >= doubtMissing*time.Duration(patience)
}

// asked begins to count anew. An answer that helped shows in a connection; until
// then each further question takes twice the reason. A service that cannot be
// reached costs nothing, and is asked again as soon as before.
func (d *doubt) asked(now time.Time, answered bool) {
	if answered {
		d.patience = min(2*max(d.patience, 1), maxPatience)
	}
	d.refusals = 0
	if !d.missing.IsZero() {
		d.missing = now
	}
}
