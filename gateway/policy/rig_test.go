package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

// wall is the bubble's clock, which may be untrusted.
type wall struct{ untrusted bool }

func (w *wall) Now() time.Time { return time.Now().UTC() }
func (w *wall) Trusted() bool  { return !w.untrusted }

// relay is a device with one output, "on", whose safe state is off. It takes its
// time, and tells the plant of each change.
type relay struct {
	id    string
	plant *plant

	acting chan struct{}

	mu    sync.Mutex
	on    bool
	known bool          // what on is
	there bool          // it can be reached
	takes time.Duration // how long it takes to act
	hang  chan struct{} // calls come back when it is closed; nil: they do not hang
	fail  error         // what Do and Safe answer
	safes int
}

func (r *relay) Actions() []gateway.Action {
	low, high := 1.0, 10_000.0
	return []gateway.Action{
		{Name: "on", Idempotent: true},
		{Name: "off", Idempotent: true},
		{Name: "set", Idempotent: true, Args: []gateway.Arg{{Name: "on", Type: gateway.ArgBool, Required: true}}},
		{Name: "pulse", Momentary: true, Args: []gateway.Arg{{Name: "ms", Type: gateway.ArgInteger, Required: true, Min: &low, Max: &high}}},
	}
}

func (r *relay) action(name string) gateway.Action {
	for _, a := range r.Actions() {
		if a.Name == name {
			return a
		}
	}
	panic("no action " + name)
}

// set is the hardware: it takes its time, then it changes.
func (r *relay) set(ctx context.Context, on bool) error {
	r.mu.Lock()
	takes, hang := r.takes, r.hang
	r.mu.Unlock()
	r.acting <- struct{}{} // one after the other, as drivers are
	defer func() { <-r.acting }()
	if hang != nil {
		<-hang
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	time.Sleep(takes) // it does not hear any more that it is cut short
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.there:
		return fmt.Errorf("%s: %w", r.id, gateway.ErrUnavailable)
	case r.fail != nil:
		r.known = false
		return r.fail
	}
	r.on, r.known = on, true
	if r.plant != nil {
		r.plant.changed(r.id, on)
	}
	return nil
}

func (r *relay) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	on, _ := cmd.Args["on"].(bool)
	if cmd.Action != "pulse" {
		return nil, r.set(ctx, on || cmd.Action == "on")
	}
	if err := r.set(ctx, true); err != nil {
		return nil, err
	}
	ms, _ := cmd.Args["ms"].(float64)
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, r.set(context.WithoutCancel(ctx), false)
}

func (r *relay) Safe(context.Context) error {
	r.mu.Lock()
	r.safes++
	r.mu.Unlock()
	return r.set(context.Background(), false)
}

func (r *relay) State() map[string]gateway.Value {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.there:
		return nil
	case !r.known:
		return map[string]gateway.Value{}
	}
	return map[string]gateway.Value{"on": gateway.Bool(r.on)}
}

func (r *relay) After(cmd gateway.Command) map[string]gateway.Value {
	on, _ := cmd.Args["on"].(bool)
	return map[string]gateway.Value{"on": gateway.Bool(on || cmd.Action == "on")}
}

func (r *relay) AtRest() map[string]gateway.Value {
	return map[string]gateway.Value{"on": gateway.Bool(false)}
}

func (r *relay) change(f func(*relay)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

func (r *relay) isOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on
}

// late is a relay of which nothing is known before it was found once.
type late struct {
	*relay
	found atomic.Bool
}

func (l *late) AtRest() map[string]gateway.Value {
	if !l.found.Load() {
		return nil
	}
	return l.relay.AtRest()
}

// plant is told of each change of the hardware, in order.
type plant struct {
	mu      sync.Mutex
	on      map[string]bool
	history []string
	watch   func(on map[string]bool, id string)
}

func (p *plant) changed(id string, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on[id] == on {
		return
	}
	p.on[id] = on
	p.history = append(p.history, fmt.Sprintf("%s %t", id, on))
	if p.watch != nil {
		p.watch(maps.Clone(p.on), id)
	}
}

// rig is a policy at work, with its relays.
type rig struct {
	*Policy
	t      *testing.T
	opts   Options
	plant  *plant
	relays map[gateway.DeviceID]*relay
	clock  *wall
	board  *health.Board
	logs   *bytes.Buffer
	linked bool
	events []gateway.Event
	mu     sync.Mutex
	stop   func()
}

// newRig makes relays with these configs; their order is that of the names.
func newRig(t *testing.T, configs map[gateway.DeviceID]Terms) *rig {
	t.Helper()
	logs := new(bytes.Buffer)
	log := slog.New(slog.NewTextHandler(logs, nil))
	r := &rig{
		t: t, plant: &plant{on: make(map[string]bool)}, relays: make(map[gateway.DeviceID]*relay), clock: &wall{},
		board: health.NewBoard(log), logs: logs, linked: true,
	}
	r.opts = Options{
		Latest: latest.NewBoard(), Clock: r.clock, Log: log, Health: r.board,
		Exists: func(id gateway.DeviceID) bool { return r.relays[id] != nil || id == "tank" },
		Connected: func(gateway.DeviceID) bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.linked
		},
		Event: func(e gateway.Event) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
			return nil
		},
	}
	for id, c := range configs {
		dev := &relay{id: string(id), plant: r.plant, acting: make(chan struct{}, 1), there: true, known: true}
		if c.OnlyWhileMaxAge == 0 {
			c.OnlyWhileMaxAge = time.Minute
		}
		r.relays[id] = dev
		r.opts.Devices = append(r.opts.Devices, Device{ID: id, Config: c, Actuator: dev, Stateful: dev, Safer: dev})
	}
	r.start()
	return r
}

// start makes the policy and runs it.
func (r *rig) start() {
	r.t.Helper()
	p, err := New(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.run(p)
}

// succeed goes on with another policy, as after a change of the config.
func (r *rig) succeed() {
	r.t.Helper()
	r.stop()
	p, err := New(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	p.Inherit(r.Policy, all)
	r.run(p)
}

// all devices stay as they are.
func all(gateway.DeviceID) bool { return true }

func (r *rig) run(p *Policy) {
	r.Policy = p
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}
	synctest.Wait()
}

func (r *rig) link(up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.linked = up
}

// command is one for a relay, as a dispatcher would carry it out.
func (r *rig) command(origin gateway.Origin, id gateway.DeviceID, action string, args map[string]any) error {
	dev := r.relays[id]
	cmd := gateway.Command{ID: "1", Device: id, Action: action, Args: args, Origin: origin}
	run, end, err := r.Begin(r.t.Context(), cmd, dev.action(action))
	if err != nil {
		return err
	}
	defer end()
	_, err = dev.Do(run, cmd)
	return err
}

func (r *rig) do(id gateway.DeviceID, action string) error {
	return r.command(gateway.OriginC2D, id, action, nil)
}

// must does what has to succeed.
func (r *rig) must(id gateway.DeviceID, action string) {
	r.t.Helper()
	if err := r.do(id, action); err != nil {
		r.t.Errorf("%s %s: %v", id, action, err)
	}
}

// denied does what must not be done, for a reason with these words.
func (r *rig) denied(err error, words ...string) {
	r.t.Helper()
	if !errors.Is(err, gateway.ErrDenied) {
		r.t.Errorf("%v, want gateway.ErrDenied", err)
		return
	}
	for _, w := range words {
		if !bytes.Contains([]byte(err.Error()), []byte(w)) {
			r.t.Errorf("%v; want %q in it", err, w)
		}
	}
}

func (r *rig) is(id gateway.DeviceID, on bool) {
	r.t.Helper()
	synctest.Wait()
	if got := r.relays[id].isOn(); got != on {
		r.t.Errorf("%s is on: %t, want %t", id, got, on)
	}
}

// measure puts a reading of the tank on the board.
func (r *rig) measure(level float64) {
	r.opts.Latest.Put(gateway.Reading{Device: "tank", Name: "level", Value: gateway.Number(level)})
	synctest.Wait()
}

// told are the events since it was last called, each in a line.
func (r *rig) told() (lines []string) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Name != gateway.EventMadeSafe || e.Time.IsZero() || e.Time.After(time.Now()) {
			r.t.Errorf("event %+v", e)
		}
		lines = append(lines, fmt.Sprintf("%s %s %t %v: %s", e.Device, e.Cause, e.Done, e.Outputs, e.Text))
	}
	r.events = nil
	return lines
}

func (r *rig) hasCondition(code string) string {
	for _, c := range r.board.Conditions() {
		if c.Code == code {
			return c.Summary
		}
	}
	return ""
}

// inBubble runs a test on a rig in virtual time.
func inBubble(t *testing.T, configs map[gateway.DeviceID]Terms, body func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, configs)
		body(t, r)
		r.stop()
	})
}
