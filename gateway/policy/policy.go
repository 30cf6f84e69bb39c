package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

const (
	// patience is how long a command waits for others that are under way on devices
	// that it depends on, or that depend on it.
	patience = 10 * time.Second
	// safeTime is how long anybody waits for a device to take its safe state.
	safeTime = 3 * time.Second
	// retrySafe is how soon a safe state that could not be taken is tried again.
	retrySafe = time.Second
	// maxSilence is what the heart of Run promises.
	maxSilence = time.Minute
	// lookEvery bounds a wait in which nothing happens.
	lookEvery = maxSilence / 3
	// linkEvery is how often it is asked whether there is a session, and linkLasts how
	// long the answer yes counts if no other one comes.
	linkEvery = time.Second
	linkLasts = 10 * time.Second
)

// Device is one that takes commands.
type Device struct {
	ID     gateway.DeviceID
	Config Terms
	// Actuator has the actions, as the driver declares them.
	Actuator gateway.Actuator
	// Stateful and Safer are nil if the device is none.
	Stateful gateway.Stateful
	Safer    gateway.Safer
}

// Options of a Policy. Devices, Latest and Clock are required.
type Options struct {
	Devices []Device
	// Exists tells whether there is a device; nil: only those of Devices are.
	Exists func(gateway.DeviceID) bool
	Latest *latest.Board
	Clock  clock.Clock
	// Overrides is the file of the manual overrides; empty keeps none over restarts.
	Overrides string
	// Connected tells whether there is a session with the hub for a device; nil:
	// always.
	Connected func(gateway.DeviceID) bool
	// Event sends the hub an event, and does not wait until it is there; nil: none is
	// sent.
	Event  func(gateway.Event) error
	Log    *slog.Logger
	Health *health.Board
}

// Policy decides about commands, and takes devices to their safe state when they
// must not go on. It is safe for concurrent use.
type Policy struct {
	opts   Options
	log    *slog.Logger
	wake   chan struct{}  // has a token if there may be something to do
	safing sync.WaitGroup // the takings of safe states
	// overriding is held while manual control begins or ends; heirs have the same.
	overriding *sync.Mutex

	mu      sync.Mutex // guards the rest, and is never held while hardware is waited for
	devices map[gateway.DeviceID]*device
	ids     []gateway.DeviceID
	// news is closed, and replaced, each time that something under way has ended.
	news      chan struct{}
	overrides overrides
	reports   []func() // what is to be told, in order; reported says that there is some
	reported  chan struct{}
	rested    bool    // by Rest
	heir      *Policy // the one that has inherited; nil: this one is in force
}

// device is what the policy knows of a device. Policy.mu guards what changes.
type device struct {
	Device
	// outputs are the names of what actions change; rest is the safe state.
	outputs   map[string]bool
	rest      state
	interlock *interlock // nil: none
	// underway is the command that is being carried out; securing the taking of the
	// safe state. nil: none.
	underway *permit
	securing *securing
	// called is closed when the last call of Safer has come back; nil: there was none.
	called chan struct{}
	// owed is why it has yet to take its safe state, which has failed; retry when it
	// is tried again.
	owed  *reason
	retry time.Time
	// made is why it was made safe last, if nobody has commanded it since.
	made *reason

	told   state // what the board has been told
	times  times
	budget bucket
	// events is when an event was sent last, by what it tells.
	events  map[eventKind]time.Time
	command time.Time // when it was commanded last; at first, when the policy was made
	linked  time.Time // when there was a session last; likewise
	// connected is that there was one when it was asked last.
	connected bool
}

// New makes the policy of some devices.
func New(o Options) (*Policy, error) {
	if o.Latest == nil || o.Clock == nil {
		return nil, errors.New("policy: a board with the latest values and a clock are required")
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	if o.Connected == nil {
		o.Connected = func(gateway.DeviceID) bool { return true }
	}
	p := &Policy{
		opts: o, log: o.Log, wake: make(chan struct{}, 1), reported: make(chan struct{}, 1), overriding: new(sync.Mutex),
		devices: make(map[gateway.DeviceID]*device), news: make(chan struct{}),
	}
	now := time.Now()
	for _, d := range o.Devices {
		known := &device{Device: d, budget: newBucket(d.Config.MaxCommands, now), command: now, linked: now, times: times{since: now}, events: make(map[eventKind]time.Time)}
		known.describe()
		p.devices[d.ID] = known
		p.ids = append(p.ids, d.ID)
	}
	if o.Exists == nil {
		o.Exists = func(id gateway.DeviceID) bool { return p.devices[id] != nil }
	}
	for _, d := range p.devices {
		var err error
		if d.Config.OnlyWhile == "" {
			continue
		}
		if d.interlock, err = newInterlock(d.Config, o.Exists, nil); err != nil {
			return nil, fmt.Errorf("device %s: only_while: %w", d.ID, err)
		}
	}
	p.overrides = loadOverrides(o, now)
	return p, nil
}

// Inherit takes over what another policy knows of the devices that both have: since
// when they are on, what they were commanded, why they were made safe; and, of those
// that stay as they are, what is under way on them. What is asked of the other one
// from then on is passed on to this one. Run of the other one has ended, that of this
// one not begun.
func (p *Policy) Inherit(from *Policy, stays func(gateway.DeviceID) bool) {
	from.mu.Lock()
	defer from.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, d := range p.devices {
		old := from.devices[id]
		if old == nil {
			continue
		}
		d.owed, d.made, d.times, d.command, d.events = old.owed, old.made, old.times, old.command, old.events
		if old.Config.SafeAfter.LinkLost > 0 {
			d.linked, d.connected = old.linked, old.connected
		}
		if old.securing != nil { // it was asked for in between
			d.owed = &old.securing.why
		}
		if stays(id) {
			d.underway, d.called = old.underway, old.called
		}
		d.budget.inherit(old.budget)
	}
	p.overrides, p.overriding = from.overrides, from.overriding
	from.heir = p
}

// lock locks mu of the policy in force, and returns that.
func (p *Policy) lock() *Policy {
	p.mu.Lock()
	for p.heir != nil {
		heir := p.heir
		p.mu.Unlock()
		p = heir
		p.mu.Lock()
	}
	return p
}

// Changed says that what the outputs of devices are may have changed by itself, as
// when one of them was lost or found. It does not wait.
func (p *Policy) Changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// tell lets those look who wait for something under way to end. mu is held.
func (p *Policy) tell() {
	close(p.news)
	p.news = make(chan struct{})
	p.Changed()
}

// describe finds out what a device can do, which some know once they are there.
func (d *device) describe() {
	if d.Stateful != nil {
		d.outputs, d.rest = outputs(d.Stateful, d.Actuator.Actions()), d.Stateful.AtRest()
	}
}

// state is what is known of the outputs of a device; nil if it is not there.
func (d *device) state() state {
	if d.Stateful == nil {
		return nil
	}
	return d.Stateful.State()
}

// away tells whether a device may be away from its safe state: one that cannot be
// reached may.
func (d *device) away() bool {
	if len(d.rest) == 0 {
		return false
	}
	return d.underway != nil && d.underway.away || !rests(d.state(), d.rest)
}

// minds tells whether readings can make a difference.
func (p *Policy) minds() bool {
	for _, d := range p.devices {
		if d.interlock != nil || d.Config.timed() {
			return true
		}
	}
	return false
}

// Run watches over the devices until ctx ends.
func (p *Policy) Run(ctx context.Context) error {
	heart := p.opts.Health.Heart("policy", maxSilence)
	defer p.opts.Health.Remove(heart)
	watcher := p.opts.Latest.Watch()
	defer watcher.Close()
	news := watcher.News()
	if !p.minds() {
		news = nil
	}
	over := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { p.tellUntil(over) })
	others.Go(func() { p.askUntil(over) })
	defer func() {
		p.safing.Wait()
		close(over)
		others.Wait()
	}()
	for {
		heart.Beat()
		timer := time.NewTimer(time.Until(p.look(time.Now())))
		select {
		case <-news:
		case <-p.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}
