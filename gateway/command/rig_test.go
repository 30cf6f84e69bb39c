package command_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// wall is the bubble's clock, which may be untrusted.
type wall struct {
	untrusted bool // as it is at first
	undated   bool // as long as it is untrusted
	later     time.Duration
	trusted   atomic.Bool
	ahead     atomic.Int64 // of the bubble's clock
}

func (w *wall) Now() time.Time {
	if w.undated && !w.Trusted() {
		return gateway.Undated(time.Minute + w.later)
	}
	return time.Now().Add(time.Duration(w.ahead.Load()))
}

func (w *wall) Trusted() bool        { return !w.untrusted || w.trusted.Load() }
func (w *wall) trust()               { w.trusted.Store(true) }
func (w *wall) step(d time.Duration) { w.ahead.Add(int64(d)) }

// machine is an actuator: "pulse" is not idempotent, "set" is.
type machine struct {
	// act is what happens; nil succeeds at once.
	act func(ctx context.Context, cmd gateway.Command) (map[string]any, error)

	mu  sync.Mutex
	did []string // ids, in the order of execution
}

func (*machine) Actions() []gateway.Action {
	limit := 100.0
	return []gateway.Action{
		{Name: "pulse"},
		{Name: "set", Idempotent: true, Args: []gateway.Arg{{Name: "level", Type: gateway.ArgNumber, Max: &limit}}},
		{Name: "slow", Timeout: time.Hour},
		{Name: "series", Resumable: true},
		{Name: "long", Timeout: time.Hour, Idempotent: true},
	}
}

func (m *machine) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	m.mu.Lock()
	m.did = append(m.did, cmd.ID)
	m.mu.Unlock()
	if m.act == nil {
		return nil, nil
	}
	return m.act(ctx, cmd)
}

func (m *machine) done() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.did...)
}

// unmade is a device that can be asked for something once it could be made.
type unmade struct{ made atomic.Bool }

func (u *unmade) Actions() []gateway.Action {
	if !u.made.Load() {
		return nil
	}
	return []gateway.Action{{Name: "pulse"}}
}

func (*unmade) Do(context.Context, gateway.Command) (map[string]any, error) { return nil, nil }

// useless can do nothing.
type useless struct{ unmade }

func (*useless) Actions() []gateway.Action { return []gateway.Action{} }

// maxWaiting leaves 50 places to each device.
const maxWaiting = 100

// rig is one run of a dispatcher on a disk.
type rig struct {
	t       *testing.T
	disk    *disk
	pump    *machine
	fan     *machine
	valve   *machine // belongs to the child node7
	unmade  unmade
	useless useless
	gate    *gate
	clock   *wall
	board   *health.Board
	logs    *bytes.Buffer // only to be read when nothing runs

	*command.Dispatcher
	inbox *command.Inbox
	stop  context.CancelFunc
	ended chan error
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, disk: &disk{}, pump: &machine{}, fan: &machine{}, valve: &machine{}, gate: &gate{}, clock: &wall{}, logs: new(bytes.Buffer)}
	r.assemble()
	return r
}

// assemble makes a dispatcher as after a start of the program.
func (r *rig) assemble() {
	log := slog.New(slog.NewTextHandler(r.logs, nil))
	r.board = health.NewBoard(log)
	d, err := command.NewDispatcher(command.Options{
		Journal: r.disk, Queue: r.disk, Clock: r.clock, Boot: "b1",
		Devices: r.devices(), Log: log, Health: r.board,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Dispatcher, r.inbox, r.ended = d, command.NewInbox(d), make(chan error, 1)
}

func (r *rig) devices() command.Devices {
	return command.Devices{
		Actuators: map[gateway.DeviceID]gateway.Actuator{"pump": r.pump, "fan": r.fan, "valve": r.valve, "unmade": &r.unmade, "useless": &r.useless},
		Policy:    r.gate,
		Children:  map[gateway.DeviceID]gateway.Lane{"valve": "node7"},
		Sensors:   []gateway.DeviceID{"air"},

		MaxWaiting: maxWaiting, MaxWaitingBytes: 1 << 20,
	}
}

// inboxOf is the inbox by which a device is reached.
func (r *rig) inboxOf(device gateway.DeviceID) *command.Inbox {
	if device == "valve" {
		return r.child()
	}
	return r.inbox
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.ended <- r.Run(ctx) }()
	synctest.Wait()
}

// halt stops the run and waits for its end.
func (r *rig) halt() error {
	r.stop()
	err := <-r.ended
	r.stop = nil
	return err
}

// run is a test on a running rig, in virtual time.
func run(t *testing.T, body func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		body(t, r)
		if r.stop != nil {
			if err := r.halt(); err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
}

func (r *rig) accept(cmds ...gateway.Command) {
	r.t.Helper()
	for _, cmd := range cmds {
		if err := r.inbox.Accept(r.t.Context(), cmd); err != nil {
			r.t.Fatalf("Accept(%s): %v", cmd.ID, err)
		}
	}
}

// result waits for the final state of a command.
func (r *rig) result(id string) gateway.Result {
	r.t.Helper()
	for range 3600 {
		synctest.Wait()
		if e := r.disk.held(id); e != nil && e.Result != nil {
			return *e.Result
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatalf("command %s has no final state", id)
	return gateway.Result{}
}

func pulse(id string) gateway.Command {
	return gateway.Command{ID: id, Device: "pump", Action: "pulse", Origin: gateway.OriginC2D}
}

func (r *rig) hasCondition(code string) bool {
	for _, c := range r.board.Conditions() {
		if c.Code == code {
			return true
		}
	}
	return false
}
